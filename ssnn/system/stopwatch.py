"""Where the time of a run goes, phase by phase."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by phase. Callers must synchronize the device before a phase ends."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._started = time.perf_counter()

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Add the time of this block to `seconds[phase]`."""
        started = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - started

    def total(self) -> float:
        """Seconds since this stopwatch was made, measured or not."""
        return time.perf_counter() - self._started
