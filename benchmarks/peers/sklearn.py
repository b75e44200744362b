"""scikit-learn."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers.peer import Peer, Problem, adam_epsilon, blas_threads


class SklearnPeer(Peer):
    """scikit-learn's MLPClassifier, held to passes in the order of the file that never stop early."""

    name = "scikit-learn"
    library = "sklearn"
    dtypes = ("float32", "float64")
    cost_per_pass = True

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        from sklearn.neural_network import MLPClassifier

        self.threads = blas_threads()
        options: dict[str, Any] = {"solver": "sgd", "momentum": 0, "nesterovs_momentum": False}
        if self.settings.optimizer == "adam":
            options = {
                "solver": "adam",
                "beta_1": self.settings.beta_1,
                "beta_2": self.settings.beta_2,
                "epsilon": adam_epsilon(self.settings),
            }
        self.model = MLPClassifier(
            hidden_layer_sizes=[len(layer.b) for layer in self.start[:-1]],
            **options,
            alpha=0,
            batch_size=self.batch_size,
            learning_rate_init=self.settings.learning_rate,
            shuffle=False,
            random_state=0,  # else it draws the weights that `reset` replaces from NumPy's global generator
            tol=0,
            warm_start=True,
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

    def parameters(self) -> list[npt.NDArray[Any]]:
        layers = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [parameters for layer in layers for parameters in layer]
