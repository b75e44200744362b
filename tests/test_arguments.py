"""Arguments that several commands take: where digits come from, and the environment's part in it."""

import json
import shutil
import sys
from argparse import Namespace
from dataclasses import replace

import pytest
from explanations import trained
from idx_files import image_file, make_mnist
from support import ssnn_command

from ssnn.cli.arguments import load_data
from ssnn.data import mnist
from ssnn.errors import DataError
from ssnn.model.serialization import save_model

COMMANDS = {
    "evaluate": ["--model"],
    "explain": ["--quick", "--model"],
    "train": ["--iterations", "40", "--quiet", "--resume"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of what is known as MNIST in this test."""
    make_mnist(tmp_path / "files", monkeypatch)
    return tmp_path / "files"


@pytest.fixture
def save(tmp_path, few_digits):
    """Save a model that was trained on data of this name; returns the file's name."""

    def save(name):
        model = trained(few_digits)
        save_model(replace(model, data=replace(model.data, name=name)), tmp_path / "model")
        return str(tmp_path / "model")

    return save


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "message"), [("mnist", "MNIST is not in "), ("idx", "the data idx need the folder that they are in")]
)
def test_without_the_data_of_a_model_its_commands_end_in_5(capsys, save, command, name, message):
    assert ssnn_command(command)([*COMMANDS[command], save(name)]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ssnn {command}: error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["mnist", "idx", "synthetic"])
def test_a_folder_that_cannot_be_used_ends_in_an_error(capsys, save, tmp_path, command, name):
    arguments = [*COMMANDS[command], save(name), "--data-dir", str(tmp_path / "nowhere")]
    expected = (2, "synthetic digits are drawn") if name == "synthetic" else (5, f"{tmp_path / 'nowhere'}: there is no")
    assert ssnn_command(command)(arguments) == expected[0]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ssnn {command}: error: {expected[1]}")
    assert err.count("\n") == 1


def test_a_model_is_evaluated_on_what_it_was_trained_on(capsys, save, folder, monkeypatch):
    monkeypatch.setenv("SSNN_DATA_DIR", str(folder))
    for name in ("mnist", "idx", "synthetic"):
        assert ssnn_command("evaluate")(["--model", save(name), "--json", "-"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["data"] == name
        assert err == ""


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_data_of_one_s_own_are_no_default(capsys, save, command):
    assert ssnn_command(command)([*COMMANDS[command], save("my digits")]) == 2
    assert capsys.readouterr() == (
        "",
        f"ssnn {command}: error: the model was trained on 'my digits', which no command can load; say with --data what "
        "to take: auto, mnist, idx, synthetic\n",
    )
    assert ssnn_command("evaluate")(["--model", save("my digits"), "--data", "synthetic"]) == 0


def test_what_is_not_mnist_is_told_in_one_printable_line(capsys, save, folder):
    folder = folder.rename(folder.with_name("red\x1b[31m\n"))
    images = next(iter(mnist.FILES))
    (folder / images).unlink()
    path = folder / images.removesuffix(".gz")
    path.write_bytes(image_file()[:-1] + b"\x07")
    evaluate = ssnn_command("evaluate")
    assert evaluate(["--model", save("mnist"), "--data", "auto", "--data-dir", str(folder)]) == 0
    out, err = capsys.readouterr()
    shown = str(folder).replace("\x1b", "\ufffd").replace("\n", "\ufffd")
    assert err == f"idx digits: {shown}: four IDX files (unverified: not MNIST's checksum: {path.name})\n"
    assert out.startswith("2 idx test images of 0 and 1\n")
    assert evaluate(["--model", save("mnist"), "--data-dir", str(folder)]) == 5
    assert f"{shown}/{path.name}: not MNIST's own" in capsys.readouterr().err
    assert evaluate(["--model", save("idx"), "--data-dir", str(folder)]) == 0
    assert capsys.readouterr().err == ""


def test_no_output_replaces_a_file_of_the_data_folder(capsys, save, folder, monkeypatch):
    path = folder / [*mnist.FILES][1]
    before = path.read_bytes()
    monkeypatch.setenv("SSNN_DATA_DIR", str(folder))
    for command in ("evaluate", "explain"):
        assert ssnn_command(command)([*COMMANDS[command], save("mnist"), "--json", str(path)]) == 2
        assert f"{path} is named twice" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("source", ["mnist", "auto", "idx"])
@pytest.mark.parametrize("is_variable", [True, False], ids=["variable", "argument"])
def test_drawn_digits_do_not_take_the_place_of_files_that_were_named(folder, monkeypatch, source, is_variable):
    if is_variable:
        monkeypatch.setenv("SSNN_DATA_DIR", str(folder))
    options = Namespace(data=source, data_dir=None if is_variable else str(folder))
    assert len(load_data(options, samples=4).train) == 4  # of six images, those that are a 0 or a 1
    with pytest.raises(DataError, match=f"5 samples: {folder} has 4 images of 0 and 1; --data synthetic draws as many"):
        load_data(options, samples=5)


def test_more_samples_than_there_are_are_drawn_where_no_file_was_named(folder, cache, monkeypatch):
    shutil.copytree(folder, cache)
    nothing_named = Namespace(data=None, data_dir=None)
    assert load_data(nothing_named).name == "mnist"
    assert load_data(nothing_named, samples=5).name == "synthetic"


@pytest.mark.parametrize("is_variable", [True, False], ids=["variable", "argument"])
@pytest.mark.parametrize(
    ("name", "exit_code", "message"),
    [
        ("mlx", 2, "unknown backend 'mlx'; choose one of numpy, cupy, jax, torch, strict"),
        ("cupy", 3, "backend 'cupy' cannot run here: cupy is not installed"),
    ],
)
def test_a_backend_of_the_environment_is_told_as_such(capsys, monkeypatch, is_variable, name, exit_code, message):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setenv("SSNN_BACKEND", name if is_variable else "nonsense")
    arguments = ["--data", "synthetic", *([] if is_variable else ["--backend", name])]
    assert ssnn_command("train")(arguments) == exit_code
    err = capsys.readouterr().err
    assert err.startswith(f"ssnn train: error: {message}")
    assert ("SSNN_BACKEND" in err) == is_variable


def test_an_empty_backend_of_the_environment_is_none(monkeypatch, capsys):
    monkeypatch.setenv("SSNN_BACKEND", "")
    assert ssnn_command("train")(["--data", "synthetic", "--iterations", "1"]) == 0
    assert ssnn_command("train")(["--data", "synthetic", "--iterations", "1", "--backend", ""]) == 2
