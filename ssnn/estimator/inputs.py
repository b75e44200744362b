"""What scikit-learn's users hand in, as arrays on the host: samples, dense or sparse, and their weights."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device
from scipy.sparse import issparse

from ssnn.data.dataset import host_array
from ssnn.errors import UsageError
from ssnn.standardize import Standardization, select, standardize_floats
from ssnn.system import machine
from ssnn.typing import Array

BLOCK_BYTES = 2**26  # of a sparse X, dense and in float64, at once in a prediction
COPIES = 5  # in float64, of a dense X while it is measured and standardised
PIXEL_COPIES = 11  # in uint8, of pixels without weights


def computing_dtype(X: Array) -> str:
    """In which dtype to compute with such an X: float32 where that holds all its digits, or those of pixels."""
    name = getattr(X.dtype, "name", str(X.dtype)).rpartition(".")[2]  # as in torch.float32, which has no name
    return "float32" if name in ("uint8", "float16", "bfloat16", "float32") else "float64"


def dense_rows(X: Array, is_weighted: bool = False) -> npt.NDArray[Any]:
    """X on the host, in uint8 or float64.

    Raises
    ------
    UsageError
        If X is sparse and does not fit into memory when it is dense.
    """
    if issparse(X):
        is_exact = X.dtype == np.uint8 and not is_weighted
        each = PIXEL_COPIES if is_exact else COPIES * np.dtype(np.float64).itemsize
        needed, free = each * X.shape[0] * X.shape[1], machine.free_memory()
        if needed > free:
            raise UsageError(
                f"a sparse X {X.shape} is made dense to train on it, which takes {needed / 1e9:,.1f} GB, and "
                f"{free / 1e9:,.1f} GB are free; reduce its columns (TruncatedSVD) or its rows (partial_fit)"
            )
        X = X.toarray()
    rows = host_array(X, "X")
    with np.errstate(over="ignore"):  # of a long double, which is checked as an infinite number
        return rows if rows.dtype == np.uint8 else rows.astype(np.float64, copy=False)


def row_blocks(X: Array) -> Iterator[npt.NDArray[Any]]:
    """The rows of X as `dense_rows` gives them: a block at a time where X is sparse, else all at once."""
    if not issparse(X):
        yield dense_rows(X)
        return
    length = max(1, BLOCK_BYTES // (np.dtype(np.float64).itemsize * X.shape[1]))
    for start in range(0, X.shape[0], length):
        yield dense_rows(X[start : start + length])


def for_device(
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


def like(X: Array, values: npt.NDArray[Any]) -> Array:
    """The values in the namespace and on the device of X; beside a sparse X, which has none, in NumPy."""
    return values.copy() if issparse(X) else array_namespace(X).asarray(values, device=device(X), copy=True)


def place(X: Array) -> tuple[Any, Any]:
    """The namespace and the device of an array; of a sparse one, those of NumPy."""
    array = np.empty(0) if issparse(X) else X
    return array_namespace(array), device(array)


def sample_weights(
    sample_weight: Array | None,
    class_weight: Mapping[Any, float] | str | None,
    labels: npt.NDArray[np.intp],
    classes: npt.NDArray[Any],
) -> npt.NDArray[np.float64] | None:
    """The weight of each sample, (m,), of which the largest is 1; None where none is given.

    Parameters
    ----------
    sample_weight : array-like (m,), optional
    class_weight : {class: weight}, "balanced" or None
        "balanced" gives both classes the same weight in all. A class that is not named has the weight 1.
    labels : int array (m,)
        The class of each sample, 0 or 1.
    classes : array (2,)
        What the user calls them.

    Raises
    ------
    UsageError
        If a weight is negative or not finite, all are 0, or there is not one for each sample; so of class weights.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(labels)) if sample_weight is None else _floats(sample_weight)
    if weights.ndim == 0:
        weights = np.full(len(labels), weights)
    if weights.shape != labels.shape:
        raise UsageError(f"sample_weight.shape == {weights.shape}, expected {labels.shape}!")
    _check_weights("sample_weight", weights)
    weights = _to_one(weights)
    weights = _to_one(weights * _to_one(_of_classes(class_weight, weights, labels, classes))[labels])
    if not np.any(weights):
        raise UsageError("all sample weights are zero: there is nothing to learn from")
    return weights


def _of_classes(
    class_weight: Mapping[Any, float] | str | None,
    weights: npt.NDArray[np.float64],
    labels: npt.NDArray[np.intp],
    classes: npt.NDArray[Any],
) -> npt.NDArray[np.float64]:
    if class_weight is None:
        return np.ones(2)
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = [np.sum(weights[labels == label]) for label in (0, 1)]
        return np.array([sum(totals) / total if total else 0.0 for total in totals])
    if not isinstance(class_weight, Mapping):
        raise UsageError(f'class_weight {class_weight!r}: a dictionary of classes, "balanced" or None is needed')
    names = classes.tolist()
    if unknown := [name for name in class_weight if name not in names]:
        raise UsageError(f"class_weight names {unknown[0]!r}, and the classes are {names[0]!r} and {names[1]!r}")
    found = _floats([class_weight.get(name, 1.0) for name in names])
    _check_weights("class_weight", found)
    return found


def _to_one(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of which the largest is 1, unless all are 0: no product or sum of them overflows."""
    largest = np.max(weights)
    return weights / largest if largest else weights


def _check_weights(name: str, weights: npt.NDArray[np.float64]) -> None:
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise UsageError(f"{name}: finite weights from 0 on are needed")


def _floats(weights: Any) -> npt.NDArray[np.float64]:
    try:
        values = host_array(weights, "weights")
        if values.dtype.kind == "c":
            raise TypeError("they are complex")
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"weights must be numbers ({error})") from None
