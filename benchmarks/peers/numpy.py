"""The article's formulas in plain NumPy."""

from typing import Any

import numpy.typing as npt

from benchmarks import article
from benchmarks.peers.peer import Peer, Problem, blas_threads


class ArticlePeer(Peer):
    """The article's own functions, in float64 on all pixels as there; full batch only."""

    name = "article"
    library = "numpy"
    dtypes = ("float64",)
    constant_features = ("keep",)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.threads = blas_threads()
        self.reset()

    def reset(self) -> None:
        (W1, b1), (W2, b2) = self.start
        self.weights = W1, b1, W2, b2

    def run(self, k: int) -> list[float]:
        X, Y = self.X.T, self.y.reshape(1, -1)
        costs = []
        for _ in range(k):
            self.weights, cost = article.iterate(self.weights, X, Y, self.settings.learning_rate)
            costs.append(cost)
        return costs

    def parameters(self) -> list[npt.NDArray[Any]]:
        W1, b1, W2, b2 = self.weights
        return [W1.T, b1[:, 0], W2.T, b2[:, 0]]
