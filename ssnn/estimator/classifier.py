"""The network as a scikit-learn classifier, for any two classes and any numbers."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from ssnn.backends import Backend, open_backend
from ssnn.data.dataset import host_array, refuse_masked
from ssnn.errors import DataError, UsageError
from ssnn.estimator.inputs import computing_dtype, dense_rows, for_device, like, place, row_blocks, sample_weights
from ssnn.initialization import initial_network
from ssnn.model import inference
from ssnn.network import Layer, Network, logistic
from ssnn.settings import LEARNING_RATES, OPTIONS, Settings
from ssnn.standardize import Standardization, fit_floats, fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Rows
from ssnn.training.loop import Loop, TrainingState, make_loop
from ssnn.training.progress import boundaries
from ssnn.typing import Array, Tree

N_ITER_NO_CHANGE = 10  # the default of scikit-learn's own networks


class ShallowNetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The article's network for any two classes, trained on the full batch or on mini-batches.

    Features are standardised, and those that do not vary in training are left out. On the images of
    `ssnn.load_data`, as uint8 pixels and with ``random_state=561``, it gives the parameters that `ssnn.fit` gives.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Neurons per hidden layer; () or 0 is logistic regression.
    solver : {"gd", "momentum", "adam"}
        Gradient descent, with momentum, or Adam; see `ssnn.optimizers`.
    learning_rate : float, optional
        By default 0.5 for "gd", 0.05 for "momentum" and 0.01 for "adam".
    batch_size : int, optional
        Samples in a mini-batch, after each of which the parameters are updated; the last of an iteration may have
        fewer. By default the full batch, which is what a size above the number of samples gives too, with a warning.
    shuffle : bool
        Whether mini-batches take the samples in an order that is drawn anew for each iteration, or as they lie in X.
    momentum : float
        0 ≤ momentum < 1. As in MLPClassifier, options of another solver are checked and otherwise ignored, so that a
        search may vary `solver` beside them.
    beta_1, beta_2 : float
        0 ≤ β < 1, of Adam.
    epsilon : float
        From 0 on, of Adam: added to the root of the corrected average, as its authors do, where MLPClassifier adds it
        before the correction.
    max_iter : int
        Iterations, each over all samples.
    random_state : int, RandomState or None
        Seeds the initial parameters and the order of samples. An integer, 0 … 4294967295, is the seed itself.
    backend : str
        The name of the array library that computes, one of `ssnn.available_backends`.
    dtype : {"float32", "float64"}, optional
        By default that of the first X: float32 for pixels in uint8 and for numbers of at most 32 bits in floating
        point, else float64. It is the dtype of the computation, and of what `decision_function` and `predict_proba`
        return.
    tol : float, optional
        End once in 10 iterations in a row the loss has not come more than `tol` below the best before, and give a
        ConvergenceWarning if that does not happen. From its small initial parameters a network with several hidden
        layers learns so slowly at first that this may end it there. By default all iterations are done, and
        faster: with `tol`, the host looks at every loss.
    class_weight : {class: weight}, "balanced" or None
        What each sample of a class weighs, besides its `sample_weight`; "balanced" lets both classes weigh the same
        in all. With mini-batches, weights count within each of them only: where one holds a single class, they change
        nothing.
    warm_start : bool
        Whether a further `fit` goes on from the parameters of the last one, for `max_iter` more iterations; classes,
        features and standardisation stay those of the first. The optimizer begins anew, as in MLPClassifier.

    Attributes
    ----------
    classes_ : array (2,)
    dtype_ : {"float32", "float64"}
        Of the last run.
    n_features_in_ : int
    feature_names_in_ : array (n_features_in_,) of str
        Where all features have names.
    n_iter_ : int
        Iterations in all, with `warm_start` and `partial_fit` those of all runs.
    loss_curve_ : list of float
        Weighted mean cross-entropy of every iteration in nats, taken before its update. With mini-batches, the mean of
        theirs, each weighted by its number of samples, as in MLPClassifier, and taken before its own update.
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

    standardization_: Standardization
    loss_curve_: list[float]
    dtype_: str

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (10,),
        *,
        solver: str = "gd",
        learning_rate: float | None = None,
        batch_size: int | None = None,
        shuffle: bool = True,
        momentum: float = 0.9,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        max_iter: int = 500,
        random_state: int | np.random.RandomState | None = None,
        backend: str = "numpy",
        dtype: str | None = None,
        tol: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.random_state = random_state
        self.backend = backend
        self.dtype = dtype
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> Self:
        """Train from the start, or go on where `warm_start` says so.

        Parameters
        ----------
        X : array-like or sparse (m, n_features)
            Numbers of any scale. Those in uint8 are taken for pixels and treated to the bit as `ssnn.fit` does, unless
            samples have weights; all others are standardised in float64 on the host. A sparse X is made dense.
        y : array-like (m,)
            Two classes, of which the second in sorted order is the positive one.
        sample_weight : array-like (m,), optional
            From 0 on. A sample of weight 2 counts as two such samples, one of weight 0 as none, in the loss and in
            the standardisation. Of mini-batches, this holds for the mean within each: repeated samples would fall
            into other mini-batches.

        Raises
        ------
        ValueError
            If a parameter makes no sense, there are not two classes, no feature varies, an array is masked, or a
            sparse X does not fit into memory when it is dense.
        BackendError
            If the backend is not usable here.
        TrainingError
            If the loss or a parameter is no longer finite.
        """
        settings = self._settings()
        goes_on = self.warm_start and hasattr(self, "coefs_")
        X, y = self._validated(reset=not goes_on, X=X, y=y)
        classes, labels = _two_classes(y)
        weights = sample_weights(sample_weight, self.class_weight, labels, classes)
        if len(np.unique(labels if weights is None else labels[weights > 0])) < 2:
            weighted = "" if weights is None else ", of the samples that have a weight above 0"
            raise ValueError(f"y holds one class only{weighted}, and two are needed")
        return self._run(X, labels, classes, weights, settings, goes_on)

    def partial_fit(self, X: Array, y: Array, classes: Array | None = None, sample_weight: Array | None = None) -> Self:
        """One more run of `max_iter` iterations over the samples given, from the parameters reached so far.

        The first call measures the standardisation, which later calls keep. The optimizer goes on too, unless `solver`
        has changed: then a new one begins. The random order of an iteration depends on its number among all.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; after the first call, y may hold one class only.
        classes : array-like (2,), optional
            Both classes, where the first call's y may lack one.

        Raises
        ------
        ValueError, BackendError, TrainingError
            As in `fit`, and if y holds another class.
        """
        settings = self._settings()
        goes_on = hasattr(self, "coefs_")
        X, y = self._validated(reset=not goes_on, X=X, y=y)
        if classes is not None:
            known = host_array(unique_labels(classes), "classes")
        elif goes_on:
            known = host_array(self.classes_, "classes_")
        else:
            known, _ = _two_classes(y)
        if len(known) != 2:
            raise ValueError(f"classes {known.tolist()}: two are needed, in y or in the first call's classes")
        values = host_array(y, "y")
        if not np.all(np.isin(values, known)):
            unknown = values[~np.isin(values, known)].tolist()[0]
            raise ValueError(f"y holds {unknown!r}, which is none of {known.tolist()}")
        labels = (values == known[1]).astype(np.intp)
        weights = sample_weights(sample_weight, self.class_weight, labels, known)
        is_same_solver = goes_on and self._solver == settings.optimizer
        optimizer_state = self._optimizer_state if is_same_solver else None
        return self._run(X, labels, known, weights, settings, goes_on, optimizer_state)

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
        return like(X, Z.astype(self.dtype_))

    def predict_proba(self, X: Array) -> Array:
        """The probability of each class, (m, 2), in the order of `classes_`."""
        X, Z = self._logits(X, "predict_proba")
        return like(X, np.stack([logistic(-Z), logistic(Z)], axis=1).astype(self.dtype_))

    def predict_log_proba(self, X: Array) -> Array:
        """The logarithm of the probability of each class, (m, 2): finite also where the probability is rounded to 0."""
        X, Z = self._logits(X, "predict_log_proba")
        return like(X, -np.logaddexp(0, np.stack([Z, -Z], axis=1)).astype(self.dtype_))

    def predict(self, X: Array) -> Array:
        """The class of each sample, (m,)."""
        X, Z = self._logits(X, "predict")
        predicted = host_array(self.classes_, "classes_")[(Z > 0).astype(np.intp)]
        return predicted if isinstance(self.classes_, np.ndarray) else like(X, predicted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.array_api_support = True
        tags.input_tags.sparse = True
        return tags

    def _settings(self) -> Settings:
        sizes, seed = self.hidden_layer_sizes, self.random_state
        if isinstance(sizes, Integral):
            sizes = (int(sizes),) if sizes else ()
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise UsageError(f"hidden_layer_sizes {sizes!r}: a whole number or a sequence of them is needed")
        if self.tol is not None and not (isinstance(self.tol, Real) and 0 <= self.tol < math.inf):
            raise UsageError(f"tol {self.tol!r}: a number from 0 on, or None, is needed")
        if not (isinstance(self.solver, str) and self.solver in OPTIONS):
            raise UsageError(f"solver {self.solver!r}: choose {', '.join(OPTIONS)}")
        if not isinstance(self.shuffle, bool | np.bool):
            raise UsageError(f"shuffle {self.shuffle!r}: True or False is needed")
        options: dict[str, dict[str, Any]] = {
            solver: {name: getattr(self, name) for name in names} for solver, names in OPTIONS.items()
        }
        for solver in OPTIONS:
            Settings(optimizer=solver, **options[solver])  # refuses what makes no sense, also where it is ignored
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**32, dtype=np.uint32)
        return Settings(
            hidden=tuple(sizes),
            learning_rate=LEARNING_RATES[self.solver] if self.learning_rate is None else self.learning_rate,
            iterations=self.max_iter,
            seed=seed,
            optimizer=self.solver,
            batch_size=self.batch_size,
            order=None if self.batch_size is None else "random" if self.shuffle else "file",
            **options[self.solver],
        )

    def _validated(self, reset: bool, **arrays: Array) -> Array:
        """X as scikit-learn takes it, and y where there is one."""
        for name, array in arrays.items():
            refuse_masked(array, name)
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum by which it sees whether all are finite
            return validate_data(self, reset=reset, accept_sparse="csr", **arrays)

    def _run(
        self,
        X: Array,
        labels: npt.NDArray[np.intp],
        classes: npt.NDArray[Any],
        weights: npt.NDArray[np.float64] | None,
        settings: Settings,
        goes_on: bool,
        optimizer_state: Tree | None = None,
    ) -> Self:
        """Train, from the start or from the parameters reached so far; an error changes nothing.

        A new optimizer begins where there is no `optimizer_state` to go on from.
        """
        dtype = self.dtype or (self.dtype_ if goes_on else computing_dtype(X))
        backend = self._open(dtype)
        rows = dense_rows(X, is_weighted=weights is not None)
        if weights is not None:
            counts = weights > 0
            rows, labels, weights = rows[counts], labels[counts], weights[counts]
            if np.all(weights == weights[0]):
                weights = None  # so that weights of 0 and 1 give the bits of the samples that are left
        sizes = _minibatch_sizes(len(labels), settings.batch_size)
        losses: list[float] = []
        if goes_on:
            standardization, losses = self.standardization_, self.loss_curve_
            start = self._continued(classes, settings)
        else:
            standardization = _measured(rows, weights)
            start = initial_network((rows.shape[1], *settings.hidden, 1), settings.seed, standardization.features)
        inputs, on_device = for_device(rows, standardization, dtype)
        samples, watch = Rows(inputs, labels.astype(np.uint8)), Stopwatch()
        loop = make_loop(backend, on_device, samples, start, settings, watch, weights)
        if optimizer_state is None:
            state = loop.begin(backend.to_device(start))
        else:
            state = TrainingState(*backend.to_device((start, optimizer_state)))
        (network, optimizer_state), new_losses = self._train(loop, state, len(losses), settings.iterations, sizes)
        self.dtype_ = dtype
        self._solver, self._optimizer_state = settings.optimizer, optimizer_state
        self.standardization_ = standardization
        self.loss_curve_ = losses + new_losses
        self.n_iter_ = len(self.loss_curve_)
        self.coefs_ = [like(X, layer.W.T) for layer in network]
        self.intercepts_ = [like(X, layer.b[:, 0]) for layer in network]
        self.classes_ = like(X, classes) if classes.dtype.kind in "biuf" else classes
        return self

    def _network(self) -> Network:
        """The parameters reached so far, on the host."""
        return tuple(
            Layer(host_array(W.T, "coefs_"), host_array(b, "intercepts_")[:, None])
            for W, b in zip(self.coefs_, self.intercepts_, strict=True)
        )

    def _continued(self, classes: npt.NDArray[Any], settings: Settings) -> Network:
        """The parameters reached so far, for a run that must be one of the same network and classes."""
        network, known = self._network(), host_array(self.classes_, "classes_").tolist()
        hidden = tuple(len(layer.b) for layer in network[:-1])
        if classes.tolist() != known:
            raise ValueError(f"classes {classes.tolist()}: it has learnt {known}, and goes on with the same ones only")
        if settings.hidden != hidden:
            raise ValueError(
                f"hidden_layer_sizes {settings.hidden}: it goes on with the {hidden} that it has learnt with"
            )
        return network

    def _train(
        self, loop: Loop, state: TrainingState, done: int, iterations: int, sizes: npt.NDArray[np.int64]
    ) -> tuple[TrainingState, list[float]]:
        """All iterations after those done, or with `tol` one by one until the loss has settled; as NumPy arrays."""
        costs: list[float] = []
        patience, updates = None if self.tol is None else _Patience(self.tol), len(sizes)
        steps = boundaries(done * updates, done + iterations, None if patience is None else 1, updates)
        for reached, new_costs in loop.iterate(state, steps):
            state = reached
            costs += new_costs.tolist()
            is_whole = len(costs) % updates == 0  # an iteration of many mini-batches may come in parts
            if patience is not None and is_whole and patience.is_over(_losses(costs[-updates:], sizes)[0]):
                break
        else:
            if patience is not None:
                warnings.warn(
                    f"the loss still improved by more than tol={self.tol:g} in one of the last {N_ITER_NO_CHANGE} of "
                    f"all {iterations} iterations; raise max_iter or tol",
                    ConvergenceWarning,
                    stacklevel=4,  # the caller of fit
                )
        return loop.to_host_finite(state, done * updates + len(costs)), _losses(costs, sizes)

    def _open(self, dtype: str) -> Backend:
        return open_backend(self.backend, dtype=dtype)

    def _logits(self, X: Array, method: str) -> tuple[Array, npt.NDArray[np.float64]]:
        """X once it is validated, and the logit of each sample, (m,)."""
        check_is_fitted(self, "coefs_")
        X = self._validated(reset=False, X=X)
        fitted = self.coefs_[0]
        if place(X) != place(fitted):
            raise ValueError(
                f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace and the same device as "
                f"those passed to fit(): {_place(fitted)}, not {_place(X)}"
            )
        network, backend, found = self._network(), self._open(self.dtype_), []
        for rows in row_blocks(X):
            inputs, on_device = for_device(rows, self.standardization_, self.dtype_)
            found.append(inference.logits(backend, network, on_device, inputs))
        Z = np.concatenate(found)
        if not np.all(np.isfinite(Z)):
            sample = int(np.flatnonzero(~np.isfinite(Z))[0])
            raise ValueError(
                f"the logit of sample {sample} is not finite in {self.dtype_}: its features are too far from those in "
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


def _two_classes(y: Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """The classes in y, one or two, and which of them each sample is of."""
    check_classification_targets(y)
    target = type_of_target(y, input_name="y")
    if target != "binary":
        raise ValueError(f"Only binary classification is supported. The type of the target is {target}.")
    return np.unique(host_array(y, "y"), return_inverse=True)


def _measured(rows: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None) -> Standardization:
    """The standardisation of these samples; that of weighted pixels is no longer exact, as that of pixels is."""
    try:
        if weights is None:
            return fit_pixels(rows) if rows.dtype == np.uint8 else fit_floats(rows)
        return fit_floats(rows.astype(np.float64, copy=False), weights)
    except DataError as error:  # scikit-learn's users expect a ValueError of data that cannot be used
        raise ValueError(str(error)) from error


def _minibatch_sizes(samples: int, batch_size: int | None) -> npt.NDArray[np.int64]:
    """How many samples each mini-batch of an iteration has; the full batch is one."""
    if batch_size is not None and batch_size > samples:
        warnings.warn(
            f"batch_size {batch_size} is larger than the number of samples, {samples}: it is clipped to the full batch",
            stacklevel=4,  # the caller of fit
        )
    size = min(batch_size or samples, samples)
    return np.diff([*range(0, samples, size), samples])


def _losses(costs: list[float], sizes: npt.NDArray[np.int64]) -> list[float]:
    """The loss of each iteration: the mean of its mini-batches, weighted by their sizes."""
    if len(sizes) == 1:
        return costs
    losses: list[float] = np.average(np.reshape(costs, (-1, len(sizes))), axis=1, weights=sizes).tolist()
    return losses


def _place(array: Array) -> str:
    return f"{type(array).__name__} on {place(array)[1]}"
