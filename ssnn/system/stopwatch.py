"""Where the time of a run goes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by what they were spent on. Whoever measures a device waits for it before a measurement ends."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._started = time.perf_counter()

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add the time that this block takes to `seconds[what]`."""
        started = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - started

    def total(self) -> float:
        """Seconds since this stopwatch was made, measured or not."""
        return time.perf_counter() - self._started
