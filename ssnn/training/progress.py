"""The progress of a run, and after which iterations it is reported."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PROGRESS_STEPS = 20  # reports per run, as in the article


@dataclass(frozen=True)
class Progress:
    """The state of a run at the end of a progress step, which is a twentieth of the iterations.

    Attributes
    ----------
    iteration, iterations : int
        Done so far, and in all.
    cost : float
        Of this iteration, taken before its update.
    previous_cost : float
        Of the iteration before; NaN where there is none.
    seconds_per_iteration : float
        The mean of this run so far.
    batch : {"raw pixels", "standardised pixels"}
        What the device keeps.
    """

    iteration: int
    iterations: int
    cost: float
    previous_cost: float
    seconds_per_iteration: float
    batch: str

    def __str__(self) -> str:
        return f"cost {self.cost:.6f}  {1e3 * self.seconds_per_iteration:.2f} ms per iteration, {self.batch}"


def progress_of(costs: Sequence[float], iterations: int, seconds_per_iteration: float, batch: str) -> Progress:
    """The progress of a run, from the costs of all iterations so far."""
    previous = costs[-2] if len(costs) > 1 else math.nan
    return Progress(len(costs), iterations, costs[-1], previous, seconds_per_iteration, batch)


def boundaries(done: int, iterations: int, checkpoint_every: int | None = None) -> Iterator[int]:
    """Where progress steps end: every twentieth of all iterations, counted from each checkpoint.

    The first is `done`, the last `iterations`. Counting from each checkpoint keeps the number of different step
    lengths small: each is compiled on its own.
    """
    yield done
    while done < iterations:
        checkpoint = (done // checkpoint_every + 1) * checkpoint_every if checkpoint_every else iterations
        done = min(done + max(1, iterations // PROGRESS_STEPS), checkpoint, iterations)
        yield done
