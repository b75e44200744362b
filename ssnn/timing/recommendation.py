"""Recommend a backend for a number of iterations, and report the break-even points."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssnn.timing.trial import Measurement

NEVER_RECOMMENDED = {"strict"}  # it checks conformance


@dataclass(frozen=True)
class BreakEven:
    """Another backend, and the number of iterations that takes both the same time."""

    backend: str
    iterations: int


@dataclass(frozen=True)
class Recommendation:
    """The fastest backend for a number of iterations of a network of one size.

    Attributes
    ----------
    seconds : float
        To open the backend, compile, and do these iterations.
    below, above : BreakEven, optional
        The backend that is faster for fewer iterations, and the one for more.
    """

    hidden: tuple[int, ...]
    iterations: int
    backend: str
    seconds: float
    below: BreakEven | None
    above: BreakEven | None

    def __str__(self) -> str:
        sentence = (
            f"For {self.iterations:,} iterations with {' and '.join(map(str, self.hidden))} hidden neurons take "
            f"{self.backend}: {self.seconds:.2f} s, import included"
        )
        if self.below:
            sentence += f"; below {self.below.iterations:,} iterations {self.below.backend} is faster"
        if self.above:
            sentence += f"; above {self.above.iterations:,} iterations {self.above.backend} is faster"
        return sentence + "."


def recommend(measured: Sequence[Measurement], iterations: int) -> list[Recommendation]:
    """A recommendation for each size, by the time from opening the backend to the last iteration."""
    candidates = [m for m in measured if m.backend.name not in NEVER_RECOMMENDED]
    sizes = sorted({m.hidden for m in candidates})
    return [_recommend(iterations, [m for m in candidates if m.hidden == size]) for size in sizes]


def break_even(one: Measurement, other: Measurement) -> int:
    """The number of iterations that takes both the same time, from opening the backend on."""
    return round(1e3 * (_startup(one) - _startup(other)) / (other.ms_per_iteration - one.ms_per_iteration))


def _recommend(iterations: int, measured: Sequence[Measurement]) -> Recommendation:
    best = min(measured, key=lambda m: _seconds(m, iterations))
    slower = [m for m in measured if m.ms_per_iteration > best.ms_per_iteration and _startup(m) < _startup(best)]
    faster = [m for m in measured if m.ms_per_iteration < best.ms_per_iteration]
    below, above = ([BreakEven(m.backend.name, break_even(m, best)) for m in some] for some in (slower, faster))
    return Recommendation(
        hidden=best.hidden,
        iterations=iterations,
        backend=best.backend.name,
        seconds=_seconds(best, iterations),
        below=max((point for point in below if point.iterations > 0), key=lambda point: point.iterations, default=None),
        above=min(above, key=lambda point: point.iterations, default=None),
    )


def _seconds(measurement: Measurement, iterations: int) -> float:
    return _startup(measurement) + iterations * measurement.ms_per_iteration / 1e3


def _startup(measurement: Measurement) -> float:
    return measurement.opening + measurement.compile
