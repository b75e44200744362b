"""The article's formulas in plain NumPy."""

from benchmarks import article
from benchmarks.peers.peer import Peer, Problem, blas_threads


class ArticlePeer(Peer):
    """The article's own functions, in float64 on all pixels as there."""

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
        self.parameters = W1, b1, W2, b2

    def run(self, k: int) -> list[float]:
        X, Y = self.X.T, self.y.reshape(1, -1)
        costs = []
        for _ in range(k):
            self.parameters, cost = article.iterate(self.parameters, X, Y, self.learning_rate)
            costs.append(cost)
        return costs
