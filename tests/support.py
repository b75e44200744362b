"""What must run, and how a test skips that cannot."""

import importlib
import os

import pytest

from ssnn import backends
from ssnn.errors import BackendError
from ssnn.network import gradients, update

REQUIRABLE = {
    "chromium",
    "jinja2",
    "keras",
    "matplotlib",
    "mnist",
    "onnx",
    "onnxruntime",
    "optax",
    "pandas",
    "playwright",
    "sklearn",
    *backends.BUILT_IN,
}
REQUIRED = {name.strip() for name in os.environ.get("SSNN_REQUIRE", "").split(",")} - {""}
BACKENDS = [
    name if name == "numpy" else pytest.param(name, marks=getattr(pytest.mark, name)) for name in backends.BUILT_IN
]


def skip(what: str, reason: str) -> None:
    """Skip visibly, or fail where SSNN_REQUIRE says that this must run."""
    if what in REQUIRED:
        pytest.fail(f"SSNN_REQUIRE names {what}, but {reason}")
    pytest.skip(reason)


def import_or_skip(library: str):
    try:
        return importlib.import_module(library)
    except ImportError:
        return skip(library.partition(".")[0], f"{library} is not installed")


def open_or_skip(name: str, **options) -> backends.Backend:
    try:
        return backends.open_backend(name, **options)
    except BackendError as error:
        return skip(name, str(error))


def step(network, X, Y, weight, learning_rate):
    """One iteration on the whole batch at once: the network after it, and the cost before it."""
    gradient, cost = gradients(network, X, Y, weight)
    return update(network, gradient, learning_rate), cost


def in_one_piece(backend: backends.Backend, X, Y):
    """Samples as a batch (1, n0, m) of a backend's loop."""
    return [backend.asarray(array[None]) for array in (X, Y, Y * 0 + 1 / Y.shape[1])]
