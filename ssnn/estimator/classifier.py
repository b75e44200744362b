"""The network as a scikit-learn classifier, for any two classes and any numbers."""

import math
import warnings
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from ssnn.backends import Backend, open_backend
from ssnn.data.dataset import host_array, refuse_masked
from ssnn.errors import DataError, UsageError
from ssnn.initialization import initial_network
from ssnn.model import inference
from ssnn.network import Layer, Network, logistic
from ssnn.settings import Settings
from ssnn.standardize import Standardization, fit_floats, fit_pixels, select, standardize_floats
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Rows, batch_to_device
from ssnn.training.loop import Loop
from ssnn.training.progress import boundaries
from ssnn.typing import Array

N_ITER_NO_CHANGE = 10  # the default of scikit-learn's own networks


class ShallowNetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The article's network, trained by full-batch gradient descent, for any two classes.

    Features are standardised, and those that do not vary in training are left out. On the images of
    `ssnn.load_data`, as uint8 pixels and with ``random_state=561``, it gives the parameters that `ssnn.fit` gives.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Neurons per hidden layer; () or 0 is logistic regression.
    learning_rate : float
    max_iter : int
        Iterations, each over all samples.
    random_state : int, RandomState or None
        Seeds the initial parameters. An integer, 0 … 4294967295, is the seed itself.
    backend : str
        The name of the array library that computes, one of `ssnn.available_backends`.
    dtype : {"float32", "float64"}
        Of the computation, and of what `decision_function` and `predict_proba` return.
    tol : float, optional
        End once in 10 iterations in a row the loss has not come more than `tol` below the best before, and give a
        ConvergenceWarning if that does not happen. From its small initial parameters a network with several hidden
        layers learns so slowly at first that this may end it there. By default all iterations are done, and
        faster: with `tol`, the host looks at every loss.

    Attributes
    ----------
    classes_ : array (2,)
    n_features_in_ : int
    feature_names_in_ : array (n_features_in_,) of str
        Where all features have names.
    n_iter_ : int
    loss_curve_ : list of float
        Mean cross-entropy of every iteration in nats, each taken before its update.
    standardization_ : ssnn.standardize.Standardization
        Which features enter the network, and their means and standard deviations.
    coefs_ : list of array (n_in, n_out)
        Weights per layer; those of the first are for the standardised features in `standardization_.features`.
    intercepts_ : list of array (n_out,)

    Notes
    -----
    Where scikit-learn's array API dispatch is on, arrays may be of any library: `coefs_`, `intercepts_`, `classes_`
    unless they are strings, and all results are then in the namespace and on the device of X. They get there through
    NumPy on the host: what computes is `backend` alone, on the device that it prefers, and nothing stays there.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (10,),
        *,
        learning_rate: float = 0.5,
        max_iter: int = 500,
        random_state: int | np.random.RandomState | None = None,
        backend: str = "numpy",
        dtype: str = "float32",
        tol: float | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.random_state = random_state
        self.backend = backend
        self.dtype = dtype
        self.tol = tol

    def fit(self, X: Array, y: Array) -> Self:
        """Train from the start.

        Parameters
        ----------
        X : array-like (m, n_features)
            Numbers of any scale. Those in uint8 are taken for pixels and treated to the bit as `ssnn.fit` does;
            all others are standardised in float64 on the host.
        y : array-like (m,)
            Two classes, of which the second in sorted order is the positive one.

        Raises
        ------
        ValueError
            If a parameter makes no sense, there are not two classes, no feature varies, or an array is masked.
        BackendError
            If the backend is not usable here.
        TrainingError
            If the loss or a parameter is no longer finite.
        """
        settings, backend = self._settings(), self._open()
        X, y = self._validated(X=X, y=y)
        check_classification_targets(y)
        target = type_of_target(y, input_name="y")
        if target != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {target}.")
        classes, labels = np.unique(host_array(y, "y"), return_inverse=True)
        if len(classes) < 2:
            raise ValueError("y holds one class only, and two are needed")
        rows = _rows(X)
        try:
            found = fit_pixels(rows) if rows.dtype == np.uint8 else fit_floats(rows)
        except DataError as error:  # scikit-learn's users expect a ValueError of data that cannot be used
            raise ValueError(str(error)) from error
        start = initial_network((rows.shape[1], *settings.hidden, 1), settings.seed, found.features)
        inputs, on_device = _for_device(rows, found, self.dtype)
        samples, watch = Rows(inputs, labels.astype(np.uint8)), Stopwatch()
        batch = batch_to_device(backend, on_device, samples, start, watch)
        loop = Loop(backend, batch, settings.learning_rate, watch)
        network, losses = self._train(loop, backend.to_device(start), settings.iterations)
        self.standardization_ = found
        self.loss_curve_ = losses
        self.n_iter_ = len(losses)
        self.coefs_ = [_like(X, layer.W.T) for layer in network]
        self.intercepts_ = [_like(X, layer.b[:, 0]) for layer in network]
        self.classes_ = _like(X, classes) if classes.dtype.kind in "biuf" else classes
        return self

    def decision_function(self, X: Array) -> Array:
        """The logit of each sample, (m,): positive for `classes_[1]`.

        Raises
        ------
        NotFittedError
            If it has not been fitted; so for all methods below.
        ValueError
            If X does not fit what it was fitted on, or a number in it is so far from those that its logit would not
            be finite; so for all methods below.
        """
        X, Z = self._logits(X, "decision_function")
        return _like(X, Z.astype(self.dtype))

    def predict_proba(self, X: Array) -> Array:
        """The probability of each class, (m, 2), in the order of `classes_`."""
        X, Z = self._logits(X, "predict_proba")
        return _like(X, np.stack([logistic(-Z), logistic(Z)], axis=1).astype(self.dtype))

    def predict(self, X: Array) -> Array:
        """The class of each sample, (m,)."""
        X, Z = self._logits(X, "predict")
        predicted = host_array(self.classes_, "classes_")[(Z > 0).astype(np.intp)]
        return predicted if isinstance(self.classes_, np.ndarray) else _like(X, predicted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.array_api_support = True
        return tags

    def _settings(self) -> Settings:
        sizes, seed = self.hidden_layer_sizes, self.random_state
        if isinstance(sizes, Integral):
            sizes = (int(sizes),) if sizes else ()
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise UsageError(f"hidden_layer_sizes {sizes!r}: a whole number or a sequence of them is needed")
        if self.tol is not None and not (isinstance(self.tol, Real) and 0 <= self.tol < math.inf):
            raise UsageError(f"tol {self.tol!r}: a number from 0 on, or None, is needed")
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**32, dtype=np.uint32)
        return Settings(hidden=tuple(sizes), learning_rate=self.learning_rate, iterations=self.max_iter, seed=seed)

    def _validated(self, **arrays: Array) -> Array:
        """X as scikit-learn takes it, and y where there is one, which makes it a new fit."""
        for name, array in arrays.items():
            refuse_masked(array, name)
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum by which it sees whether all are finite
            return validate_data(self, reset="y" in arrays, **arrays)

    def _train(self, loop: Loop, start: Network, iterations: int) -> tuple[Network, list[float]]:
        """All iterations, or with `tol` one by one until the loss has settled; the network as NumPy arrays."""
        losses: list[float] = []
        patience = None if self.tol is None else _Patience(self.tol)
        steps = boundaries(0, iterations, None if patience is None else 1)
        for reached, costs in loop.iterate(start, steps):
            network = reached
            losses += costs.tolist()
            if patience is not None and patience.is_over(losses[-1]):
                break
        else:
            if patience is not None:
                warnings.warn(
                    f"the loss still improved by more than tol={self.tol:g} in one of the last {N_ITER_NO_CHANGE} of "
                    f"all {len(losses)} iterations; raise max_iter or tol",
                    ConvergenceWarning,
                    stacklevel=3,  # the caller of fit
                )
        return loop.to_host_finite(network, len(losses)), losses

    def _open(self) -> Backend:
        return open_backend(self.backend, dtype=self.dtype)

    def _logits(self, X: Array, method: str) -> tuple[Array, npt.NDArray[np.float64]]:
        """X once it is validated, and the logit of each sample, (m,)."""
        check_is_fitted(self, "coefs_")
        X = self._validated(X=X)
        fitted = self.coefs_[0]
        if (array_namespace(X), device(X)) != (array_namespace(fitted), device(fitted)):
            raise ValueError(
                f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace and the same device as "
                f"those passed to fit(): {_place(fitted)}, not {_place(X)}"
            )
        network = tuple(
            Layer(host_array(W.T, "coefs_"), host_array(b, "intercepts_")[:, None])
            for W, b in zip(self.coefs_, self.intercepts_, strict=True)
        )
        inputs, on_device = _for_device(_rows(X), self.standardization_, self.dtype)
        Z = inference.logits(self._open(), network, on_device, inputs)
        if not np.all(np.isfinite(Z)):
            sample = int(np.flatnonzero(~np.isfinite(Z))[0])
            raise ValueError(
                f"the logit of sample {sample} is not finite in {self.dtype}: its features are too far from those in "
                "training; scale or leave out such samples"
            )
        return X, Z


class _Patience:
    """Counts the iterations in a row whose loss has not come more than `tol` below the best before."""

    def __init__(self, tol: float) -> None:
        self._tol, self._best, self._without_change = tol, math.inf, 0

    def is_over(self, loss: float) -> bool:
        """Whether there have been enough of them, this one included."""
        self._without_change = self._without_change + 1 if loss > self._best - self._tol else 0
        self._best = min(self._best, loss)
        return self._without_change == N_ITER_NO_CHANGE


def _for_device(
    rows: npt.NDArray[Any], standardization: Standardization, dtype: str
) -> tuple[npt.NDArray[Any], Standardization]:
    """Samples for the device, and the standardisation that is left to it: all for pixels, none for the rest.

    In float32, as on the device, a large offset would leave nothing of the differences between samples. What is too
    large for the dtype becomes infinite, and so does, or becomes NaN, the logit, which is checked.
    """
    if rows.dtype == np.uint8:
        return rows, standardization
    n = len(standardization.features)
    features, mean, std = standardization.arrays
    with np.errstate(over="ignore"):
        X = standardize_floats(select(rows, features), mean, std).T.astype(dtype)
    return X, Standardization(np.arange(n), np.zeros(n), np.ones(n), n_constant=0)


def _rows(X: Array) -> npt.NDArray[Any]:
    """X on the host, in uint8 or float64."""
    rows = host_array(X, "X")
    with np.errstate(over="ignore"):  # of a long double, which is checked as an infinite number
        return rows if rows.dtype == np.uint8 else rows.astype(np.float64, copy=False)


def _place(array: Array) -> str:
    return f"{type(array).__name__} on {device(array)}"


def _like(X: Array, values: npt.NDArray[Any]) -> Array:
    """The values in the namespace and on the device of X."""
    return array_namespace(X).asarray(values, device=device(X), copy=True)
