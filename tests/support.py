"""What tests share: what must run, how a test that cannot run skips, and how commands and programs are run."""

import importlib
import os
import subprocess
import sys

import pytest

from ssnn import backends
from ssnn.__main__ import main
from ssnn.errors import BackendError
from ssnn.network import gradients, update

REQUIRABLE = {
    "chromium",
    "firefox",
    "ipykernel",
    "jinja2",
    "keras",
    "matplotlib",
    "mnist",
    "mypy",
    "nbclient",
    "nbformat",
    "onnx",
    "onnxruntime",
    "optax",
    "pandas",
    "playwright",
    "sklearn",
    "slow",
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


def ssnn_command(name: str):
    """`ssnn NAME` in this process: a function of its arguments that returns the exit code."""
    return lambda arguments: main([name, *arguments])


def run_python(code: str, **environment: str) -> str:
    """What a fresh process prints for this code."""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def step(network, X, Y, sample_weight, learning_rate):
    """One iteration on the whole batch at once: the network after it, and the cost before it."""
    gradient, cost = gradients(network, X, Y, sample_weight)
    return update(network, gradient, learning_rate), cost
