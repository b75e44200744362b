"""The cost by updates, in as few points as can be shown: those of mini-batches are noisy, and may be many."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from ssnn.explain.records import Values
from ssnn.model.model import Model

MAX_ITERATIONS = 500  # points of a curve of the full batch, which is smooth
MAX_UPDATES = 50  # of mini-batches: the mean of fewer of them would be mostly noise


@dataclass(frozen=True)
class CostCurve:
    """The costs of n groups of updates, in the order of training.

    Attributes
    ----------
    update : array (n,)
        The middle of each group; the first update of all is 1.
    mean, low, high : array (n,)
    size : int
        Updates in a group; the last may have fewer.
    updates : int
        In all.
    updates_per_iteration : int
        In a pass over the training images.
    """

    update: Values
    mean: Values
    low: Values
    high: Values
    size: int
    updates: int
    updates_per_iteration: int

    @property
    def is_of_iterations(self) -> bool:
        """Whether each update took the full batch."""
        return self.updates_per_iteration == 1

    @property
    def unit(self) -> str:
        """What an update is called."""
        return "iteration" if self.is_of_iterations else "update"


def cost_curve(model: Model, most: int | None = None) -> CostCurve:
    """The cost curve of a model that has costs, in at most `most` groups."""
    per_iteration = model.settings.updates_per_iteration(model.data.train)
    most = most or (MAX_ITERATIONS if per_iteration == 1 else MAX_UPDATES)
    size = ceil(len(model.costs) / most)
    groups = np.split(np.array(model.costs), range(size, len(model.costs), size))
    sizes = np.array([len(group) for group in groups])
    mean, low, high = (np.array([statistic(group) for group in groups]) for statistic in (np.mean, np.min, np.max))
    return CostCurve(np.cumsum(sizes) - (sizes - 1) / 2, mean, low, high, size, len(model.costs), per_iteration)
