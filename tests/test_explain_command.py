import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from explanations import trained
from PIL import Image
from support import ssnn_command

from ssnn.model.serialization import save_model

main = ssnn_command("explain")
train = ssnn_command("train")


@pytest.fixture(scope="module")
def model(few_digits):
    return trained(few_digits)


@pytest.fixture(scope="module")
def files(tmp_path_factory, few_digits, model):
    """Saved models by name: m, other, of other images, and turned, whose class 0 is the digit 1."""
    folder = tmp_path_factory.mktemp("models")
    models = {
        "m": model,
        "other": trained(replace(few_digits, train=few_digits.test), iterations=2),
        "turned": replace(model, data=replace(model.data, digits=(1, 0))),
    }
    for name, saved in models.items():
        save_model(saved, folder / name)
    return {name: str(folder / name) for name in models}


@pytest.fixture
def few(monkeypatch, few_digits):
    """Explain with the few digits, whatever the arguments say."""
    monkeypatch.setattr("ssnn.cli.explain.load_data", lambda *_, **__: few_digits)


@pytest.fixture
def mnist(monkeypatch, mnist_digits):
    """Explain with MNIST, which is loaded already."""
    monkeypatch.setattr("ssnn.cli.explain.load_data", lambda *_, **__: mnist_digits)


def test_a_terminal_shows_one_screen_per_image(capsys, tmp_path, article, data_dir, monkeypatch):
    save_model(article, tmp_path / "model")
    arguments = ["--model", str(tmp_path / "model"), "--data-dir", str(data_dir), "--quick"]
    monkeypatch.setenv("COLUMNS", "90")
    assert main(arguments) == 0
    out = capsys.readouterr().out
    first, network = out.split("\ntest image 2031")[0], out[out.index("  neuron   0") :]
    assert first.startswith("test image 1749: a 0, taken for a 1 (more than 99.9999 %, logit +271,401,342)\n")
    assert "1. It lights 1 pixel that no training image ever lit: row 2, column 21 (grey value 64)." in first
    assert all(len(line) <= 90 for line in out.splitlines())
    assert len(first.splitlines()) <= 30
    assert network.splitlines()[10].startswith("margins of the test images: 2 below 0, the smallest −271,401,342")


@pytest.mark.usefixtures("few")
def test_json_holds_the_figures_of_test_images_and_pictures(capsys, tmp_path, few_digits, files, model):
    Image.fromarray(255 - few_digits.test.pixels[3].reshape(28, 28)).save(tmp_path / "digit.png")
    arguments = ["--model", files["m"], "--index", "0", "99", "--image", str(tmp_path / "digit.png")]
    assert main([*arguments, "--json", "-"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["schema"] == "ssnn.explain/2"
    assert [image["name"] for image in answer["images"]] == [
        "test image 0",
        "test image 99",
        str(tmp_path / "digit.png"),
    ]
    assert answer["images"][2]["label"] is None
    parts = answer["images"][0]["attribution"]
    assert math.fsum(parts["pixels"]) + parts["biases"] == pytest.approx(answer["images"][0]["logit"], rel=1e-4)
    assert len(answer["neurons"]) == 10
    assert answer["training"]["settings"]["iterations"] == 30
    assert answer["test"]["errors"] == list(model.evaluate(few_digits.test, "numpy").errors)
    assert answer["test_logits"]["labels"] == few_digits.test.labels.tolist()
    np.testing.assert_allclose(answer["test_logits"]["logits"], model.logits(few_digits.test.pixels), rtol=1e-4)
    assert "test image 0: " in err


@pytest.mark.usefixtures("mnist")
def test_a_comparison_explains_the_images_that_two_models_predict_differently(capsys, tmp_path, article, mnist_model):
    save_model(article, tmp_path / "a")
    save_model(mnist_model, tmp_path / "b")
    arguments = ["--compare", str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"1 test image changed sides from {tmp_path / 'a'} to {tmp_path / 'b'}\n")
    assert "now right, logit +271,401,342 before, −0.15 after" in out
    assert "that no training image ever lit" in out
    assert main([*arguments[:1], str(tmp_path / "b"), *arguments[2:], "--json", "-"]) == 0
    names = [str(tmp_path / "b"), str(tmp_path / "b")]
    assert json.loads(capsys.readouterr().out) == {
        "schema": "ssnn.explain.compare/2",
        "models": names,
        "digits": [0, 1],
        "changed": [],
    }


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ("", 2, "give either --model FILE or --compare FILE FILE; see ssnn explain --help"),
        ("--compare {m} {m} --index 1", 2, "--compare explains the images that changed sides: leave out --html"),
        ("--model {m} --index 100", 2, "image 100: there are 100 test images, 0 … 99"),
        ("--model {m} --index -1", 2, "image -1: there are 100 test images"),
        ("--model {m} --image nowhere.png", 5, "nowhere.png: missing"),
        ("--model {m}.not", 6, "{m}.not: missing"),
        ("--model {m} --html /nowhere/page.html", 2, "/nowhere/page.html cannot be written: there is no folder"),
        ("--model {m} --html -", 2, "the page goes to a file, not to standard output"),
        ("--model {m} --json {m}", 2, "{m} is named twice"),
        ("--model {m} --json /", 2, "/ is a folder; name a file"),
        (
            "--model {other}",
            2,
            "the model was trained on 100 other images, synthetic of 0 and 1; these are 200,",
        ),
        ("--compare {m} {other}", 2, "the model was trained on 100 other images, synthetic of 0 and 1; these are 200,"),
        ("--compare {m} {turned}", 2, "the models are of different digits: 0 and 1, and 1 and 0"),
    ],
)
@pytest.mark.usefixtures("few")
def test_a_mistake_is_one_line_on_standard_error(capsys, files, arguments, exit_code, message):
    assert main([*arguments.format(**files).split(), "--quick"]) == exit_code
    err = capsys.readouterr().err
    assert err.startswith(f"ssnn explain: error: {message.format(**files)}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_found_before_anything_is_computed(capsys, monkeypatch, tmp_path, files, library):
    for name in ("jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None if name == library else ModuleType(name))
    monkeypatch.setattr("ssnn.cli.explain.load_model", None)
    monkeypatch.setattr("ssnn.cli.train.fit", None)
    failure = f"the page needs {library}, which is not installed; what would help: python -m pip install 'ssnn[report]'"
    page = ["--html", str(tmp_path / "page.html")]
    assert main(["--model", files["m"], "--index", "0", "--quick", *page]) == 1
    assert capsys.readouterr() == ("", f"ssnn explain: error: {failure}\n")
    assert train(["--data", "synthetic", *page]) == 1
    assert capsys.readouterr() == ("", f"ssnn train: error: {failure}\n")


def test_an_encoding_without_blocks_loses_them_alone(tmp_path, few_digits, files):
    np.savez(tmp_path / "few.npz", *vars(few_digits.train).values(), *vars(few_digits.test).values())
    program = (
        "import sys, numpy\nfrom ssnn.data import Dataset, Samples\nfrom ssnn.cli import explain\n"
        "from ssnn.__main__ import main\n"
        "parts = list(numpy.load(sys.argv[1]).values())\n"
        "few = Dataset('synthetic', 'a test', (0, 1), Samples(*parts[:2]), Samples(*parts[2:]), 0.0)\n"
        "explain.load_data = lambda *_, **__: few\n"
        "sys.exit(main(['explain', *sys.argv[2:]]))\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "few.npz", "--model", files["m"], "--index", "0", "--quick"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"test image 0: ")


@pytest.mark.usefixtures("few")
def test_the_command_prints_what_the_model_says_in_python(capsys, files, few_digits, model):
    assert main(["--model", files["m"], "--index", "5", "99", "--quick"]) == 0
    assert capsys.readouterr().out == str(model.explain(few_digits, index=[5, 99]))
    assert main(["--model", files["m"], "--index", "5"]) == 0
    assert capsys.readouterr().out == repr(model.explain(few_digits, index=np.int64(5), retrain=True))
