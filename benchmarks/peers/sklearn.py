"""scikit-learn."""

import warnings

import numpy as np

from benchmarks.peers.peer import Peer, Problem, blas_threads


class SklearnPeer(Peer):
    """scikit-learn's MLPClassifier, held to plain gradient descent that never stops early."""

    name = "scikit-learn"
    library = "sklearn"
    dtypes = ("float32", "float64")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        from sklearn.neural_network import MLPClassifier

        self.threads = blas_threads()
        self.model = MLPClassifier(
            hidden_layer_sizes=[len(layer.b) for layer in self.start[:-1]],
            solver="sgd",
            alpha=0,
            batch_size=len(self.X),
            learning_rate_init=self.learning_rate,
            shuffle=False,
            random_state=0,  # else it draws the weights that `reset` replaces from NumPy's global generator
            tol=0,
            warm_start=True,
            momentum=0,
            nesterovs_momentum=False,
            n_iter_no_change=np.inf,
        )
        self.run(1)  # only a fitted model has weights that can be set
        self.reset()

    def reset(self) -> None:
        self.model.coefs_ = [W.T.copy() for W, _ in self.start]
        self.model.intercepts_ = [b[:, 0].copy() for _, b in self.start]

    def run(self, k: int) -> list[float]:
        from sklearn.exceptions import ConvergenceWarning

        self.model.set_params(max_iter=k)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop after k iterations
            self.model.fit(self.X, self.y)
        return [float(cost) for cost in self.model.loss_curve_[-k:]]
