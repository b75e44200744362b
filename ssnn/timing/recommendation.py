"""Recommend a backend for a number of iterations, and report the break-even points."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssnn.timing.trial import Measurement

FOR_CHECKING = {"strict"}  # measured, but never recommended


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
            f"{self.backend}: {self.seconds:.2f} s from its import on"
        )
        if self.below:
            sentence += f"; below {self.below.iterations:,} iterations {self.below.backend} is faster"
        if self.above:
            sentence += f"; above {self.above.iterations:,} iterations {self.above.backend} is faster"
        return sentence + "."


def recommend(measured: Sequence[Measurement], iterations: int) -> list[Recommendation]:
    """A recommendation for each size, by the time from opening the backend to the last iteration."""
    usable = [measurement for measurement in measured if measurement.backend.name not in FOR_CHECKING]
    sizes = sorted({measurement.hidden for measurement in usable})
    return [_recommend(iterations, [m for m in usable if m.hidden == size]) for size in sizes]


def _recommend(iterations: int, measured: Sequence[Measurement]) -> Recommendation:
    best = min(measured, key=lambda m: _seconds(m, iterations))
    below = [BreakEven(m.backend.name, _crossing(m, best)) for m in measured if _start(m) < _start(best)]
    above = [BreakEven(m.backend.name, _crossing(m, best)) for m in measured if _is_faster(m, best)]
    return Recommendation(
        hidden=best.hidden,
        iterations=iterations,
        backend=best.backend.name,
        seconds=_seconds(best, iterations),
        below=max((point for point in below if point.iterations > 0), key=lambda point: point.iterations, default=None),
        above=min(above, key=lambda point: point.iterations, default=None),
    )


def _seconds(measurement: Measurement, iterations: int) -> float:
    return _start(measurement) + iterations * measurement.ms_per_iteration / 1e3


def _start(measurement: Measurement) -> float:
    return measurement.opening + measurement.compile


def _is_faster(one: Measurement, other: Measurement) -> bool:
    return one.ms_per_iteration < other.ms_per_iteration


def _crossing(one: Measurement, other: Measurement) -> int:
    """The number of iterations that takes both the same time."""
    return round(1e3 * (_start(one) - _start(other)) / (other.ms_per_iteration - one.ms_per_iteration))
