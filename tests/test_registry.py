from importlib.metadata import EntryPoint

import pytest

from ssnn import backends
from ssnn.backends import registry
from ssnn.backends.base import Backend
from ssnn.backends.numpy import NumpyBackend
from ssnn.errors import BackendError, UsageError


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="'mlx'; choose one of numpy, cupy, jax, torch, strict"):
        backends.open_backend("mlx")


class ThirdPartyBackend(NumpyBackend):
    name = "third"
    device_kinds = ("mps", "cpu")

    @classmethod
    def devices(cls):
        return "mps", "cpu"


class UnfinishedBackend(Backend):
    name = "third"


class BrokenBackend(ThirdPartyBackend):
    @classmethod
    def devices(cls):
        raise RuntimeError("its driver is gone")


@pytest.fixture
def entry_points(monkeypatch):
    def set_points(**targets):
        points = [EntryPoint(name, target, "ssnn.backends") for name, target in targets.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)

    return set_points


def test_another_package_adds_a_backend_in_one_file(entry_points):
    entry_points(third="test_registry:ThirdPartyBackend")
    assert backends.names()[-1] == "third"
    third = backends.open_backend("third").describe()
    assert (third.name, third.device) == ("third", "mps")
    assert backends.open_backend("third", device="cpu").device == "cpu"


def test_another_package_cannot_take_our_names(entry_points):
    entry_points(numpy="test_registry:ThirdPartyBackend")
    assert backends.open_backend("numpy").describe().name == "numpy"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:Nothing", "No module named 'nowhere'"),
        ("ssnn.backends.numpy:NumpyBackend", "calls itself 'numpy'"),
        ("json:JSONDecoder", "not a subclass of ssnn.backends.Backend"),
        ("test_registry:UnfinishedBackend", "lacks asarray, install_command, synchronize, to_numpy, library"),
    ],
)
def test_a_backend_that_cannot_be_loaded_breaks_no_other(entry_points, target, message):
    entry_points(third=target)
    with pytest.raises(BackendError, match=message):
        backends.open_backend("third")
    *ours, third = backends.available_backends()
    assert ours[0].usable
    assert not third.usable
    assert message in third.reason


def test_a_backend_that_breaks_when_asked_hides_no_other(entry_points):
    entry_points(third="test_registry:BrokenBackend")
    *ours, third = backends.available_backends()
    assert ours[0].usable
    assert (third.usable, third.reason) == (False, "numpy fails: its driver is gone")
