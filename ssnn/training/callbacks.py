"""The functions that a caller of `fit` may pass, to be called during training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ssnn.errors import UsageError
from ssnn.model.model import Model
from ssnn.training.progress import Progress


class ProgressCallback(Protocol):
    """Called at the end of each progress step."""

    def __call__(self, progress: Progress, /) -> object:
        """Report the progress."""


class CheckpointCallback(Protocol):
    """Called after every `checkpoint_every` iterations, for instance to save the model."""

    def __call__(self, model: Model, /) -> object:
        """Take the model after the iterations done so far."""


class StoppingRule(Protocol):
    """Called at the end of each progress step, and within a longer step about once a second."""

    def __call__(self, costs: Sequence[float], /) -> bool:
        """Whether training ends here, given the costs of all iterations so far."""


@dataclass(frozen=True)
class Callbacks:
    """The callbacks of a run; for each see the parameter of `fit`.

    Raises
    ------
    UsageError
        If only one of `checkpoint` and `checkpoint_every` is given, or the latter is less than 1.
    """

    report: ProgressCallback | None
    checkpoint: CheckpointCallback | None
    checkpoint_every: int | None
    stopping: StoppingRule | None

    def __post_init__(self) -> None:
        if (self.checkpoint_every is None) != (self.checkpoint is None):
            raise UsageError("give both checkpoint and checkpoint_every, or neither")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise UsageError(f"a checkpoint every {self.checkpoint_every} iterations: at least 1 is needed")
