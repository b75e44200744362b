"""What tests share: the backends, and digits to train on."""

import os
from pathlib import Path

import numpy as np
import pytest
from support import BACKENDS, REQUIRABLE, REQUIRED, open_or_skip, skip

from ssnn import backends, data
from ssnn.data import mnist
from ssnn.model.model import Model
from ssnn.settings import Settings
from ssnn.training.trainer import fit

DATA_DIR = os.environ.get("SSNN_DATA_DIR")


def pytest_configure():
    if unknown := REQUIRED - REQUIRABLE:
        raise pytest.UsageError(f"SSNN_REQUIRE names {unknown}, but only {REQUIRABLE} can be required")


def pytest_collection_modifyitems(config, items):
    """Leave the tests out, and not as hundreds of skips, where only benchmarks are asked for."""
    if config.getoption("benchmark_only"):
        config.hook.pytest_deselected(items=[item for item in items if "benchmark" not in item.fixturenames])
        items[:] = [item for item in items if "benchmark" in item.fixturenames]


@pytest.fixture(params=BACKENDS)
def backend_name(request) -> str:
    """Every backend in turn, by name; those that cannot run here skip."""
    open_or_skip(request.param)
    return request.param


@pytest.fixture(autouse=True)
def no_outside_world(monkeypatch, tmp_path):
    """No test reaches a mirror, reads the user's caches or inherits the user's choices."""
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(mnist, "TORCHVISION_ROOT", tmp_path / "torchvision")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("NO_PROXY", "*")
    for choice in ("SSNN_BACKEND", "SSNN_DATA_DIR", "SSNN_MNIST_URL", "JAX_ENABLE_X64", "TQDM_DISABLE"):
        monkeypatch.delenv(choice, raising=False)


@pytest.fixture
def cache(tmp_path) -> Path:
    """The folder of the per-user cache, which is not made yet."""
    return tmp_path / "cache" / "ssnn" / "mnist"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real MNIST files."""
    if not DATA_DIR:
        skip("mnist", "SSNN_DATA_DIR does not name the folder of MNIST's files")
    return Path(DATA_DIR).resolve()


@pytest.fixture(scope="session")
def mnist_digits(data_dir) -> data.Dataset:
    return data.load_data("mnist", data_dir)


@pytest.fixture(scope="session")
def mnist_reference(mnist_digits) -> Model:
    """The default run in NumPy float64, which every other run is held against."""
    return fit(mnist_digits, backends.open_backend("numpy", dtype="float64"))


@pytest.fixture(scope="session")
def mnist_model(mnist_digits) -> Model:
    """What a default run gives."""
    return fit(mnist_digits)


@pytest.fixture(scope="session")
def article(mnist_digits) -> Model:
    """What the article's own run gives."""
    return fit(mnist_digits, backends.open_backend("numpy", dtype="float64"), Settings(constant_features="keep"))


@pytest.fixture(scope="session")
def few_digits() -> data.Dataset:
    """300 synthetic images, 100 of them for testing: enough where the numbers only have to be the same."""
    digits = data.load_data("synthetic")
    train_part, test_part = (
        data.Samples(s.pixels[:n], s.labels[:n]) for s, n in ((digits.train, 200), (digits.test, 100))
    )
    return data.Dataset("synthetic", "a test", (0, 1), train_part, test_part, 0.0)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
