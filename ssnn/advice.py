"""Which backend to take for so many iterations, and with how many another one would do better."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssnn.measure import Measurement

FOR_CHECKING = {"strict"}  # measured, but nobody should compute with it


@dataclass(frozen=True)
class Turn:
    """Another backend, and the number of iterations at which both are done at the same time."""

    backend: str
    iterations: int


@dataclass(frozen=True)
class Advice:
    """Which backend is soonest done with so many iterations of a network of one size.

    Attributes
    ----------
    seconds : float
        That opening the backend, compiling and these iterations take.
    below, above : Turn, optional
        The backend that is sooner done with fewer iterations, and the one with more.
    """

    hidden: tuple[int, ...]
    iterations: int
    backend: str
    seconds: float
    below: Turn | None
    above: Turn | None

    def __str__(self) -> str:
        sentence = (
            f"For {self.iterations:,} iterations with {' and '.join(map(str, self.hidden))} hidden neurons take "
            f"{self.backend}: {self.seconds:.2f} s from its import on"
        )
        if self.below:
            sentence += f"; below {self.below.iterations:,} iterations {self.below.backend} is sooner done"
        if self.above:
            sentence += f"; above {self.above.iterations:,} iterations {self.above.backend} is"
        return sentence + "."


def advise(measured: Sequence[Measurement], iterations: int) -> list[Advice]:
    """One piece of advice for each size, by the time from opening the backend to the last iteration."""
    usable = [measurement for measurement in measured if measurement.backend.name not in FOR_CHECKING]
    sizes = sorted({measurement.hidden for measurement in usable})
    return [_advise(iterations, [m for m in usable if m.hidden == size]) for size in sizes]


def _advise(iterations: int, measured: Sequence[Measurement]) -> Advice:
    best = min(measured, key=lambda m: _seconds(m, iterations))
    below = [Turn(m.backend.name, _crossing(m, best)) for m in measured if _start(m) < _start(best)]
    above = [Turn(m.backend.name, _crossing(m, best)) for m in measured if _is_faster(m, best)]
    return Advice(
        hidden=best.hidden,
        iterations=iterations,
        backend=best.backend.name,
        seconds=_seconds(best, iterations),
        below=max((turn for turn in below if turn.iterations > 0), key=lambda turn: turn.iterations, default=None),
        above=min(above, key=lambda turn: turn.iterations, default=None),
    )


def _seconds(measurement: Measurement, iterations: int) -> float:
    return _start(measurement) + iterations * measurement.ms_per_iteration / 1e3


def _start(measurement: Measurement) -> float:
    return measurement.opening + measurement.compile


def _is_faster(one: Measurement, other: Measurement) -> bool:
    return one.ms_per_iteration < other.ms_per_iteration


def _crossing(one: Measurement, other: Measurement) -> int:
    """With how many iterations both take the same time."""
    return round(1e3 * (_start(one) - _start(other)) / (other.ms_per_iteration - one.ms_per_iteration))
