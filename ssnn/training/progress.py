"""The progress of a run, and after which iterations it is reported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PROGRESS_STEPS = 20  # reports per run, as in the article


@dataclass(frozen=True)
class Progress:
    """The state of a run at the end of a progress step, which is a twentieth of the iterations.

    Attributes
    ----------
    iteration, iterations : int
        Passes over the training images that are done so far, and in all.
    costs : sequence of float
        Of every update so far, each taken before it: of the full batch, or of a mini-batch.
    seconds_per_update : float
        The mean of this run so far.
    samples_per_update : float
        In the mean: the last mini-batch of a pass may have fewer.
    batch : {"raw pixels", "standardised pixels"}
        What the device keeps.
    """

    iteration: int
    iterations: int
    costs: Sequence[float]
    seconds_per_update: float
    samples_per_update: float
    batch: str

    @property
    def cost(self) -> float:
        """Of the last update."""
        return self.costs[-1]

    def __str__(self) -> str:
        if self.iteration == len(self.costs):
            return f"cost {self.cost:.6f}  {1e3 * self.seconds_per_update:.2f} ms per iteration, {self.batch}"
        speed = self.samples_per_update / self.seconds_per_update
        return (
            f"cost {self.cost:.6f}  {1e6 * self.seconds_per_update:.0f} µs per update, {speed:,.0f} images per second, "
            f"{self.batch}"
        )


def boundaries(done: int, iterations: int, checkpoint_every: int | None = None, updates: int = 1) -> Iterator[int]:
    """Where progress steps end, in updates: every twentieth of all iterations, counted from each checkpoint.

    The first is `done`, the last the end of all iterations. Counting from each checkpoint keeps the number of different
    step lengths small: each is compiled on its own.

    Parameters
    ----------
    done : int
        Updates done before.
    iterations : int
    checkpoint_every : int, optional
        Iterations.
    updates : int
        In an iteration.
    """
    yield done
    iteration = done // updates
    while iteration < iterations:
        checkpoint = (iteration // checkpoint_every + 1) * checkpoint_every if checkpoint_every else iterations
        iteration = min(iteration + max(1, iterations // PROGRESS_STEPS), checkpoint, iterations)
        yield iteration * updates
