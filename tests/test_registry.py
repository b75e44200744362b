from importlib.metadata import EntryPoint

import pytest

from ssnn import backends
from ssnn.backends import registry
from ssnn.backends.base import Backend
from ssnn.backends.numpy import NumpyBackend
from ssnn.backends.options import Availability
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


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    (tmp_path / "exiting_library.py").write_text("import sys\nsys.exit('enough')\n")
    (tmp_path / "odd_library.py").write_text("raise GeneratorExit('odd')\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("target", ["test_registry:ThirdPartyBackend", " test_registry : ThirdPartyBackend [extra]"])
def test_another_package_adds_a_backend_in_one_file(entry_points, target):
    entry_points(third=target.strip())
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
        ("test_registry", "'test_registry' is not of the form package.module:Class"),
        ("test_registry:", "'test_registry:' is not of the form package.module:Class"),
        ("", "'' is not of the form package.module:Class"),
        ("a b : c", "'a b : c' is not of the form package.module:Class"),
        ("exiting_library:Any", "exiting_library:Any: SystemExit: enough"),
        ("odd_library:Any", "odd_library:Any: GeneratorExit: odd"),
    ],
)
def test_a_backend_that_cannot_be_loaded_breaks_no_other(entry_points, libraries, target, message):
    entry_points(third=target)
    with pytest.raises(
        BackendError, match=r"^backend 'third' cannot be loaded: .*; what would help: a repaired"
    ) as error:
        backends.open_backend("third")
    assert message in str(error.value)
    *ours, third = backends.available_backends()
    assert ours[0].usable
    assert not third.usable
    assert message in third.reason


def test_a_backend_that_breaks_when_asked_hides_no_other(entry_points):
    entry_points(third="test_registry:BrokenBackend")
    *ours, third = backends.available_backends()
    assert ours[0].usable
    assert (third.usable, third.reason) == (False, "numpy fails: its driver is gone")


class ExitingBackend(ThirdPartyBackend):
    def __init__(self, options):
        raise SystemExit(3)

    @classmethod
    def probe(cls):
        raise SystemExit(4)


class TalkativeBackend(ThirdPartyBackend):
    @classmethod
    def probe(cls):
        return Availability("third", usable=1, version=1.5, devices=["cpu\x1b[31m"], reason="two\nlines")


class SilentBackend(ThirdPartyBackend):
    @classmethod
    def probe(cls):
        return None


def test_a_backend_that_ends_the_program_is_one_that_cannot_run(entry_points):
    entry_points(third="test_registry:ExitingBackend")
    with pytest.raises(BackendError, match=r"^backend 'third' cannot be opened: SystemExit: 3; what would help: "):
        backends.open_backend("third")
    third = backends.available_backends()[-1]
    assert (third.usable, third.reason) == (False, "SystemExit: 4")


def test_what_a_backend_says_of_itself_is_made_safe_to_show(entry_points):
    entry_points(**{"third": "test_registry:TalkativeBackend", "b\x1b[31m": "nowhere:X"})
    third, bad = backends.available_backends()[-2:]
    assert (third.usable, third.version, third.devices) == (True, "1.5", ("cpu\N{REPLACEMENT CHARACTER}[31m",))
    assert third.reason == "two\N{REPLACEMENT CHARACTER}lines"
    assert bad.name == "b\N{REPLACEMENT CHARACTER}[31m"
    assert bad.reason.isprintable()
    entry_points(third="test_registry:SilentBackend")
    assert not backends.available_backends()[-1].usable


def test_ctrl_c_is_no_fault_of_a_backend(entry_points, monkeypatch):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry.importlib, "import_module", interrupt)
    entry_points(third="test_registry:ThirdPartyBackend")
    for ask in (lambda: backends.open_backend("third"), backends.available_backends):
        with pytest.raises(KeyboardInterrupt):
            ask()


def test_a_damaged_list_of_entry_points_leaves_our_own_backends(monkeypatch):
    def fail(group):
        raise TypeError("Pair.__new__() missing 1 required positional argument: 'value'")

    monkeypatch.setattr(registry, "entry_points", fail)
    assert backends.open_backend("numpy").name == "numpy"
    with pytest.raises(BackendError, match="a list of entry points, of a package that is installed, is damaged: Pair"):
        backends.open_backend("third")
    *ours, others = backends.available_backends()
    assert ours[0].usable
    assert (others.usable, "is damaged" in others.reason) == (False, True)
