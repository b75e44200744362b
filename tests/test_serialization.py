import json
import math
import os
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import ssnn
from ssnn import backends
from ssnn.agreement import disagreement
from ssnn.errors import ModelError, SsnnError
from ssnn.model import serialization
from ssnn.model.serialization import save_model
from ssnn.settings import Settings
from ssnn.training.trainer import fit
from ssnn.tree import leaves, tree_map


@pytest.fixture(scope="module")
def model(few_digits):
    return fit(few_digits, settings=Settings(hidden=(2,), iterations=3))


@pytest.fixture
def path(tmp_path, model):
    save_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def arrays(model):
    values = (*model.standardization.arrays, model.standardization.n_constant, *model.novelty)
    trees = leaves(model.network) + leaves(model.optimizer_state)
    return trees + [np.asarray(value) for value in values]


def same(one, other):
    pairs = zip(arrays(one), arrays(other), strict=True)
    records = ("settings", "data", "backend", "costs")
    return all(type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs) and all(
        getattr(one, name) == getattr(other, name) for name in records
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (6, 4)])
@pytest.mark.parametrize("constant_features", ["drop", "keep"])
def test_a_model_comes_back_to_the_bit(few_digits, tmp_path, dtype, hidden, constant_features):
    settings = Settings(hidden, iterations=3, constant_features=constant_features)
    model = fit(few_digits, backends.open_backend("numpy", dtype=dtype), settings)
    save_model(model, tmp_path / "a file")
    loaded = ssnn.load_model(tmp_path / "a file")
    assert same(loaded, model)
    assert type(loaded) is ssnn.Model
    np.testing.assert_array_equal(
        loaded.predict_proba(few_digits.test.pixels), model.predict_proba(few_digits.test.pixels)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("settings", "names", "updates"),
    [
        (Settings((6, 4), iterations=3, batch_size=150), {}, 6),
        (Settings((), iterations=2, optimizer="momentum"), {"velocity_W1", "velocity_b1"}, 2),
        (
            Settings((3,), iterations=2, batch_size=48, order="file", optimizer="adam", epsilon=0),
            {*(f"{kind}_{name}" for kind in ("mean", "square") for name in ("W1", "b1", "W2", "b2")), "updates"},
            10,
        ),
    ],
)
def test_the_state_of_an_optimizer_comes_back_to_the_bit(few_digits, tmp_path, dtype, settings, names, updates):
    model = fit(few_digits, backends.open_backend("numpy", dtype=dtype), settings)
    save_model(model, tmp_path / "model")
    loaded = ssnn.load_model(tmp_path / "model")
    assert same(loaded, model)
    assert type(loaded.optimizer_state) is type(model.optimizer_state)
    assert len(loaded.costs) == updates
    tensors = load_file(tmp_path / "model")
    assert {name for name in tensors if name.startswith(("velocity", "mean_", "square", "updates"))} == set(names)
    if settings.optimizer == "adam":
        assert loaded.optimizer_state.updates == updates
        assert any(np.any(p > 0) for p in leaves(loaded.optimizer_state.square))


def test_any_reader_of_safetensors_reads_it(path, model):
    with safe_open(path, framework="numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("W1"), model.network[0].W)
        assert json.loads(file.metadata()["settings"])["learning_rate"] == 0.5
        assert file.metadata()["ssnn"] == ssnn.__version__


def test_the_same_model_gives_the_same_bytes(path, tmp_path):
    program = "import sys, ssnn; ssnn.save_model(ssnn.load_model(sys.argv[1]), sys.argv[2])"
    for seed in "1", "2":
        command = [sys.executable, "-c", program, path, tmp_path / seed]
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, check=True)
        assert (tmp_path / seed).read_bytes() == path.read_bytes()
        read = load_file(tmp_path / seed)
        np.testing.assert_array_equal(read["costs"], ssnn.load_model(path).costs)


def test_the_data_of_a_file_are_aligned(path):
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_settings_of_numpy_s_numbers_can_be_kept(few_digits, tmp_path):
    settings = Settings(hidden=(np.int64(2),), learning_rate=np.float32(0.5), iterations=np.int32(2), seed=np.uint8(3))
    save_model(fit(few_digits, settings=settings), tmp_path / "model")
    assert ssnn.load_model(tmp_path / "model").settings == settings


def test_a_flipped_byte_changes_nothing_or_is_refused(path, model, random):
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    for position in [*random.integers(0, header, 300), *random.integers(header, len(whole), 100)]:
        flipped = bytearray(whole)
        flipped[position] ^= random.integers(1, 256)
        path.write_bytes(flipped)
        try:
            assert same(ssnn.load_model(path), model)
        except ModelError:
            refused += 1
    assert refused > 350


def test_a_file_cut_short_is_refused(path, random):
    whole = path.read_bytes()
    for length in [0, 1, 8, 100, *random.integers(0, len(whole), 30), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"not a model of ssnn, or damaged|damaged: "):
            ssnn.load_model(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ModelError, match="damaged"):
        ssnn.load_model(path)


def test_what_is_no_model_file_is_told(tmp_path):
    def told(path):
        with pytest.raises(ModelError) as error:
            ssnn.load_model(path)
        return str(error.value).removeprefix(f"{path}: ")

    assert told(tmp_path / "none") == "missing"
    assert told("") == "'': missing"
    assert told(tmp_path) == "not a file"
    os.mkfifo(tmp_path / "pipe")
    assert told(tmp_path / "pipe") == "not a file"
    assert told("x" * 300) == "cannot be read (File name too long)"
    for impossible, shown in (("a\0b", "a�b"), ("a\ud800b", "a�b")):
        assert told(impossible) == f"{shown}: cannot be read (no file can have such a name)"
    (tmp_path / "text").write_text("hello, this is no model at all")
    assert told(tmp_path / "text") == "not a model of ssnn, or damaged"
    save_file({"W1": np.zeros((2, 2))}, tmp_path / "foreign", {"format": "pt"})
    assert told(tmp_path / "foreign") == "not a model of ssnn, or damaged"
    save_file({"W1": np.zeros((2, 2))}, tmp_path / "newer", {"schema": "ssnn.model/3"})
    assert told(tmp_path / "newer") == "a model of schema 'ssnn.model/3'; this version of ssnn reads ssnn.model/2"
    with (tmp_path / "vast").open("wb") as file:
        file.truncate(10**13)
    assert told(tmp_path / "vast") == "not a model of ssnn, or damaged"
    save_file({"W1": np.zeros((2, 2))}, tmp_path / "wordy", {"schema": 500_000 * "x"})
    assert told(tmp_path / "wordy").startswith("a model of schema 'xxx")
    assert len(told(tmp_path / "wordy")) < 200
    (tmp_path / "deep").write_bytes((10**6).to_bytes(8, "little") + b"[" * 10**6)
    assert told(tmp_path / "deep") == "not a model of ssnn, or damaged"


def forge(path, tensors=(), settings=(), data=(), backend=(), without=(), no_settings=(), schema=serialization.SCHEMA):
    """Change a model file and give it the right checksum, as an attacker would."""
    with safe_open(path, framework="numpy") as file:
        content = {name: file.get_tensor(name) for name in file.keys()} | dict(tensors)  # noqa: SIM118
        metadata = file.metadata()
    for name, changes in (("settings", settings), ("data", data), ("backend", backend)):
        metadata[name] = json.dumps(json.loads(metadata[name]) | dict(changes))
    kept = {name: value for name, value in json.loads(metadata["settings"]).items() if name not in no_settings}
    metadata |= {"settings": json.dumps(kept), "schema": schema}
    for name in ("sha256", *without):
        content.pop(name, None)
        metadata.pop(name, None)
    save_file(content, path, metadata | {"sha256": serialization._checksum(content, metadata)})


def test_a_forged_file_that_changes_nothing_is_a_model(path, model):
    forge(path)
    assert same(ssnn.load_model(path), model)
    forge(path, data={"digits": [9, 0], "train": 0, "test": 0})
    assert ssnn.load_model(path).data.digits == (9, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tensors": {"W1": np.zeros((3, 5), np.float32)}}, "W1 is float32 (3, 5), not float32 (2, "),
        ({"tensors": {"b2": np.full((1, 1), np.nan, np.float32)}}, "b2 holds numbers that are not finite"),
        ({"tensors": {"b2": np.zeros((1, 1))}}, "b2 is float64 (1, 1), not float32 (1, 1)"),
        ({"tensors": {"W1": np.zeros((2, 5), np.int8)}}, "W1 is of int8"),
        ({"tensors": {"W3": np.zeros((1, 1), np.float32)}}, "unexpected tensors"),
        ({"tensors": {"features": np.array([0, 10**15])}}, "features are not ascending numbers of its 784 pixels"),
        ({"tensors": {"features": np.array([5, 5])}}, "features are not ascending numbers of its 784 pixels"),
        ({"tensors": {"features": np.array([], np.int64)}}, "features are not ascending numbers of its 784 pixels"),
        ({"tensors": {"familiar_limit": np.zeros(2, np.float32)}}, "std and novelty limits must be positive"),
        ({"tensors": {"costs": np.zeros(4)}}, "4 costs of 3 updates"),
        ({"without": ["W2"]}, "W2 is missing"),
        ({"without": ["data"]}, "data is missing"),
        ({"settings": {"hidden": [10**9]}}, "W1 is float32"),
        ({"settings": {"hidden": ["2"]}}, "hidden of Settings is \"('2',)\""),
        ({"settings": {"iterations": True}}, "iterations of Settings is 'True'"),
        ({"settings": {"learning_rate": "high"}}, "learning_rate of Settings is 'high'"),
        ({"settings": {"learning_rate": 10**400}}, f"learning rate {10**400}: a positive, finite number is needed"),
        ({"settings": {"seed": -1}}, "seed -1: it must lie in 0 … 4294967295"),
        ({"settings": {"surprise": 1}}, "missing or unexpected fields in Settings"),
        ({"data": {"train": -1}}, "its record of the data does not fit its standardisation"),
        ({"tensors": {"n_constant": np.array([-3])}}, "its record of the data does not fit its standardisation"),
        ({"tensors": {"familiar_mean": np.zeros((2, 785), np.float32)}}, "familiar_mean is float32 (2, 785), not"),
        ({"data": {"digits": [0, 10]}}, "digits (0, 10)"),
        ({"data": {"digits": [0, 1, 2]}}, "digits of DataSummary is '(0, 1, 2)'"),
        ({"data": {"name": "\x1b[2Jmnist"}}, "name of DataSummary is too long, or holds what cannot be printed"),
        ({"data": {"origin": "\ud800"}}, "origin of DataSummary is too long, or holds what cannot be printed"),
        ({"backend": {"device": 500_000 * "x"}}, "device of Description is too long, or holds what cannot be printed"),
        (
            {"settings": {"constant_features": 500_000 * "x"}},
            "constant_features of Settings is too long, or holds what",
        ),
        ({"tensors": {"costs": np.array([0.7, -0.1])}}, "a cost is negative"),
    ],
)
def test_a_forged_file_is_refused(path, changes, message):
    forge(path, **changes)
    with pytest.raises(ModelError) as error:
        ssnn.load_model(path)
    assert str(error.value).startswith(f"{path}: not a usable model: {message}")


@pytest.fixture(scope="module")
def adam_model(few_digits):
    return fit(few_digits, settings=Settings(hidden=(2,), iterations=3, batch_size=80, optimizer="adam"))


NO_ADAM = {"beta_1": None, "beta_2": None, "epsilon": None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tensors": {"mean_W2": np.zeros((1, 3), np.float32)}}, "mean_W2 is float32 (1, 3), not float32 (1, 2)"),
        ({"tensors": {"mean_b1": np.zeros((2, 1))}}, "mean_b1 is float64 (2, 1), not float32 (2, 1)"),
        ({"tensors": {"mean_b1": np.full((2, 1), np.inf, np.float32)}}, "mean_b1 holds numbers that are not finite"),
        ({"tensors": {"square_b2": np.full((1, 1), -1e-9, np.float32)}}, "the state of its optimizer holds a negative"),
        ({"tensors": {"updates": np.array(0.5, np.float32)}}, "9 costs, and its optimizer counts 0.5 updates"),
        ({"tensors": {"updates": np.array(-1, np.float32)}}, "the state of its optimizer holds a negative"),
        ({"tensors": {"updates": np.array(np.nan, np.float32)}}, "updates holds numbers that are not finite"),
        ({"tensors": {"updates": np.array([9], np.float32)}}, "updates is float32 (1,), not float32 ()"),
        ({"tensors": {"updates": np.array(9)}}, "updates is int64 (), not float32 ()"),
        ({"tensors": {"velocity_W1": np.zeros((1, 1), np.float32)}}, "unexpected tensors"),
        ({"without": ["square_W1"]}, "square_W1 is missing"),
        ({"without": ["updates"]}, "updates is missing"),
        ({"settings": {"optimizer": "gd"}}, "beta_1 is an option of adam, and the optimizer is gd"),
        ({"settings": {"optimizer": "gd"} | NO_ADAM}, "unexpected tensors"),
        ({"settings": {"optimizer": "momentum", "momentum": 0.9} | NO_ADAM}, "velocity_W1 is missing"),
        ({"settings": {"optimizer": "adamw"}}, "optimizer 'adamw': choose "),
        ({"settings": {"optimizer": ["adam"]}}, "optimizer of Settings is \"('adam',)\""),
        ({"settings": {"beta_2": 1.0}}, "beta_2 1.0: a number from 0 to below 1 is needed"),
        ({"settings": {"epsilon": "small"}}, "epsilon of Settings is 'small'"),
        ({"settings": {"batch_size": 0}}, "batch size 0: at least 1 is needed"),
        ({"settings": {"batch_size": True}}, "batch_size of Settings is 'True'"),
        ({"settings": {"batch_size": 100}}, "9 costs of 6 updates"),
        ({"settings": {"batch_size": None}}, "order random: it needs a batch size"),
        ({"settings": {"order": "sorted"}}, "order 'sorted': choose random or file"),
        ({"no_settings": ["order"]}, "missing or unexpected fields in Settings"),
    ],
)
def test_a_forged_optimizer_is_refused(adam_model, tmp_path, changes, message):
    save_model(adam_model, tmp_path / "model")
    forge(tmp_path / "model", **changes)
    with pytest.raises(ModelError) as error:
        ssnn.load_model(tmp_path / "model")
    assert str(error.value).startswith(f"{tmp_path / 'model'}: not a usable model: {message}")


OF_OPTIMIZERS = ("optimizer", "batch_size", "order", "momentum", "beta_1", "beta_2", "epsilon")


def test_a_file_from_before_there_were_optimizers_is_read_as_gradient_descent_on_the_full_batch(
    path, model, few_digits
):
    forge(path, schema="ssnn.model/1", no_settings=OF_OPTIMIZERS)
    loaded = ssnn.load_model(path)
    assert same(loaded, model)
    assert loaded.optimizer_state == ()
    assert {name: getattr(loaded.settings, name) for name in OF_OPTIMIZERS} == {
        **dict.fromkeys(OF_OPTIMIZERS),
        "optimizer": "gd",
    }
    longer = replace(loaded.settings, iterations=5)
    assert fit(few_digits, settings=longer, resume=loaded).costs == fit(few_digits, settings=longer).costs
    save_model(loaded, path)
    assert safe_open(path, framework="numpy").metadata()["schema"] == "ssnn.model/2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "missing or unexpected fields in Settings"),
        ({"no_settings": OF_OPTIMIZERS[1:]}, "missing or unexpected fields in Settings"),
        (
            {"no_settings": OF_OPTIMIZERS, "tensors": {"velocity_W1": np.zeros((1, 1), np.float32)}},
            "unexpected tensors",
        ),
        ({"no_settings": OF_OPTIMIZERS, "tensors": {"costs": np.zeros(4)}}, "4 costs of 3 updates"),
    ],
)
def test_a_forged_file_of_that_time_is_refused(path, changes, message):
    forge(path, schema="ssnn.model/1", **changes)
    with pytest.raises(ModelError) as error:
        ssnn.load_model(path)
    assert str(error.value).startswith(f"{path}: not a usable model: {message}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: {"costs": (0.7, math.nan)}, "costs holds numbers that are not finite"),
        (lambda m: {"costs": (0.7, 0.6, 0.5, 0.4)}, "4 costs of 3 updates"),
        (lambda m: {"data": replace(m.data, digits=(0, 10))}, "digits (0, 10)"),
        (lambda m: {"data": replace(m.data, train=np.int64(5))}, "Object of type int64 is not JSON serializable"),
        (lambda m: {"data": replace(m.data, name="two\nlines")}, "name of DataSummary is too long, or holds what"),
        (lambda m: {"settings": replace(m.settings, hidden=(3,))}, "W1 is float32 (2, "),
        (lambda m: {"network": tree_map(lambda p: p.astype(np.float16), m.network)}, "W1 is of float16"),
        (lambda m: {"settings": replace(m.settings, optimizer="momentum")}, "velocity_W1 is missing"),
    ],
)
def test_what_could_not_be_read_again_does_not_take_the_place_of_what_can(path, model, spoil, message):
    before = path.read_bytes()
    with pytest.raises(ModelError) as error:
        save_model(replace(model, **spoil(model)), path)
    assert str(error.value).startswith(f"{path}: not written, for load_model would refuse it: {message}")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_nor_does_a_header_longer_than_is_read(path, model, monkeypatch):
    length = int.from_bytes(path.read_bytes()[:8], "little")
    monkeypatch.setattr(serialization, "MAX_HEADER", length)
    save_model(model, path)
    assert same(ssnn.load_model(path), model)
    monkeypatch.setattr(serialization, "MAX_HEADER", length - 8)
    with pytest.raises(ModelError, match="load_model would refuse it: a header of"):
        save_model(model, path)
    with pytest.raises(ModelError, match="not a model of ssnn, or damaged"):
        ssnn.load_model(path)


def test_a_model_without_costs_can_be_kept_asked_and_continued(path, model, few_digits):
    save_model(replace(model, costs=()), path)
    bare = ssnn.load_model(path)
    assert bare.costs == ()
    np.testing.assert_array_equal(bare.predict(few_digits.test.pixels), model.predict(few_digits.test.pixels))
    assert len(fit(few_digits, resume=bare).costs) == 3


def test_numbers_that_float32_cannot_hold_are_refused(path, model, few_digits):
    forge(path, tensors={"std": np.full_like(model.standardization.std, 1e-320)})
    with pytest.raises(ModelError, match="std and novelty limits must be positive"):
        ssnn.load_model(path)
    save_model(model, path)
    forge(path, tensors={"W1": np.full_like(model.network[0].W, 3e38), "W2": np.full_like(model.network[1].W, 3e38)})
    with pytest.raises(ModelError, match="a logit is not finite: the model's parameters are invalid"):
        ssnn.load_model(path).predict(few_digits.test.pixels, backends.open_backend("numpy"))


def test_a_file_that_is_larger_than_memory_is_refused(path):
    with path.open("r+b") as file:
        file.truncate(10**13)
    with pytest.raises(ModelError, match=r"10,000\.0 GB, and .* GB of memory are free"):
        ssnn.load_model(path)


def test_a_disk_that_is_full_leaves_the_old_file(path, model, few_digits):
    before = path.read_bytes()
    program = (
        "import resource, sys, ssnn\n"
        "model = ssnn.load_model(sys.argv[1])\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2}, {resource.RLIM_INFINITY}))\n"
        "ssnn.save_model(model, sys.argv[1])\n"
    )
    process = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert process.stderr.splitlines()[-1].endswith(f"SsnnError: {path} cannot be written (File too large)")
    assert path.read_bytes() == before
    assert list(path.parent.glob(".*")) == []


def test_where_nothing_can_be_written_is_told(model, tmp_path):
    with pytest.raises(SsnnError, match=r"cannot be written \(there is no folder .*nowhere\)"):
        save_model(model, tmp_path / "nowhere" / "model")
    with pytest.raises(SsnnError, match=r"cannot be written \(Is a directory\)"):
        save_model(model, tmp_path)


@pytest.mark.parametrize("folder", ["mein\u00a0Ordner", "a\x1b[2Jb", "latin\udce9"])
def test_a_folder_of_any_name_makes_no_model_unusable(few_digits, tmp_path, folder):
    digits = replace(few_digits, origin=folder)
    save_model(fit(digits, settings=Settings(iterations=1)), tmp_path / "model")
    assert ssnn.load_model(tmp_path / "model").data.origin.isprintable()


def test_the_network_is_not_changed_by_keeping_it(path, model):
    assert disagreement(ssnn.load_model(path).network, model.network) == 0
