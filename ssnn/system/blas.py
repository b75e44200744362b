"""How many threads BLAS may use, a number of the whole process: it is changed for as long as one of us needs it.

Limits of several threads overlap in any order. So they are counted here, and none saves what another one has set.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from threadpoolctl import ThreadpoolController


@dataclass
class _Held:
    """A library whose number of threads we have changed."""

    library: Any
    original: int
    applied: int = 0

    def apply(self, count: int) -> None:
        """Set the number, and let go of what newer versions of threadpoolctl allow to one thread at a time."""
        self.library.set_num_threads(count)
        if hasattr(self.library, "clear_controlling_thread"):
            self.library.clear_controlling_thread()
        self.applied = self.library.num_threads

    def release(self) -> None:
        """A limit has ended: set what the others leave, unless somebody else has set another number since."""
        per_thread = (self.library.internal_api, getattr(self.library, "threading_layer", "")) == ("openblas", "openmp")
        if per_thread or self.library.num_threads == self.applied:
            self.apply(self.original if per_thread or not _limits else min(_limits.values()))


_lock = threading.RLock()  # a signal's handler may come back here
_limits: dict[object, int] = {}
_held: dict[str, _Held] = {}  # by the file of the library
_found: tuple[int, list[Any]] = (0, [])  # the libraries, and how many modules there were when they were looked up


def blas_threads() -> int | None:
    """How many threads BLAS uses outside of our limits; None where that cannot be known or set."""
    with _lock:
        return max((_original(library) for library in _libraries()), default=None)


@contextmanager
def limit_blas(count: int | None) -> Iterator[None]:
    """Let BLAS use this many threads within the block, or fewer where another thread holds a lower limit.

    What was before comes back when the last of all overlapping limits ends, unless somebody else has set another
    number since. With None, nothing is changed.
    """
    if count is None:
        yield
        return
    limit = object()
    try:
        with _lock:
            _limits[limit] = count
            for library in _libraries():
                held = _held.setdefault(library.filepath, _Held(library, library.num_threads))
                held.apply(min(_limits.values()))
        yield
    finally:
        with _lock:
            _limits.pop(limit, None)
            for file, held in list(_held.items()):
                held.release()
                if not _limits:
                    del _held[file]


def _original(library: Any) -> int:
    held = _held.get(library.filepath)
    return int(held.original if held else library.num_threads)


def _libraries() -> list[Any]:
    """The BLAS libraries of this process; looked up again after an import, which may have brought another one."""
    global _found
    modules = len(sys.modules)
    if _found[0] != modules:
        _found = modules, ThreadpoolController().select(user_api="blas").lib_controllers
    return _found[1]
