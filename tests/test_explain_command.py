import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image
from ssnn.explain.__main__ import main

from ssnn.explain.analysis import test_image
from ssnn.settings import Settings
from ssnn.train import main as train
from ssnn.training.trainer import fit

test_image.__test__ = False


@pytest.fixture(scope="module")
def model(few_digits):
    return fit(few_digits, settings=Settings(iterations=30))


def test_a_terminal_shows_one_screen_per_image(capsys, tmp_path, article, data_dir, monkeypatch):
    article.save(tmp_path / "model")
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


def test_all_figures_as_json_and_for_a_picture_too(capsys, tmp_path, few_digits, monkeypatch, model):
    monkeypatch.setattr("ssnn.commands.explain.load_data", lambda *_, **__: few_digits)
    model.save(tmp_path / "model")
    Image.fromarray(255 - few_digits.test.pixels[3].reshape(28, 28)).save(tmp_path / "digit.png")
    arguments = ["--model", str(tmp_path / "model"), "--index", "0", "99", "--image", str(tmp_path / "digit.png")]
    assert main([*arguments, "--json", "-"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["schema"] == "ssnn.explain/1"
    assert [image["name"] for image in answer["images"]] == [
        "test image 0",
        "test image 99",
        str(tmp_path / "digit.png"),
    ]
    assert answer["images"][2]["label"] is None
    parts = answer["images"][0]["split"]
    assert math.fsum(parts["pixels"]) + parts["biases"] == pytest.approx(answer["images"][0]["logit"], rel=1e-4)
    assert len(answer["neurons"]) == 10
    assert answer["training"]["settings"]["iterations"] == 30
    assert answer["test"]["errors"] == list(model.evaluate(few_digits.test, "numpy").errors)
    assert "test image 0: " in err


def test_two_models_are_compared(capsys, tmp_path, article, mnist_model, data_dir):
    article.save(tmp_path / "a")
    mnist_model.save(tmp_path / "b")
    arguments = ["--compare", str(tmp_path / "a"), str(tmp_path / "b"), "--data-dir", str(data_dir)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"1 test image changed sides from {tmp_path / 'a'} to {tmp_path / 'b'}\n")
    assert "now right, logit +271,401,342 before, −0.15 after" in out
    assert "that no training image ever lit" in out
    assert main([*arguments[:1], str(tmp_path / "b"), *arguments[2:], "--json", "-"]) == 0
    names = [str(tmp_path / "b"), str(tmp_path / "b")]
    assert json.loads(capsys.readouterr().out) == {
        "schema": "ssnn.explain.compare/1",
        "models": names,
        "digits": [0, 1],
        "changed": [],
    }


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ("", 2, "give either --model FILE or --compare A B; see ssnn explain --help"),
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
        ("--compare {m} {turned}", 2, "the models tell different digits apart: 0 and 1, and 1 and 0"),
    ],
)
def test_mistakes_are_told_in_one_line(capsys, tmp_path, few_digits, model, monkeypatch, arguments, exit_code, message):
    monkeypatch.setattr("ssnn.commands.explain.load_data", lambda *_, **__: few_digits)
    names = {name: str(tmp_path / name) for name in ("m", "other", "turned")}
    model.save(names["m"])
    fit(replace(few_digits, train=few_digits.test), settings=Settings(iterations=2)).save(names["other"])
    fit(replace(few_digits, digits=(1, 0)), settings=Settings(iterations=2)).save(names["turned"])
    assert main([*arguments.format(**names).split(), "--quick"]) == exit_code
    err = capsys.readouterr().err
    assert err.startswith(f"ssnn explain: error: {message.format(**names)}")
    assert err.count("\n") == 1


def test_a_missing_extra_is_named_and_takes_no_text(capsys, monkeypatch, tmp_path, few_digits, model):
    """Training finds it out before it begins."""
    monkeypatch.setattr("ssnn.commands.explain.load_data", lambda *_, **__: few_digits)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    model.save(tmp_path / "model")
    remedy = "what would help: python -m pip install 'ssnn[report]'"
    page = ["--html", str(tmp_path / "page.html")]
    assert main(["--model", str(tmp_path / "model"), "--index", "0", "--quick", *page]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("test image 0: ")
    assert err == f"ssnn explain: error: the page needs jinja2, which is not installed; {remedy}\n"
    monkeypatch.setattr("ssnn.commands.train.fit", None)
    assert train(["--data", "synthetic", *page]) == 1
    assert capsys.readouterr().err == f"ssnn train: error: the page needs jinja2, which is not installed; {remedy}\n"


def test_an_encoding_without_blocks_loses_them_alone(tmp_path, few_digits, model):
    model.save(tmp_path / "model")
    program = (
        "import sys, ssnn\nfrom ssnn.data import Digits, Samples\nfrom ssnn.commands import explain\n"
        "from ssnn.explain.__main__ import main\n"
        "d = ssnn.load_data('synthetic')\n"
        "cut = lambda s, n: Samples(s.pixels[:n], s.labels[:n])\n"
        "few = Digits('synthetic', 'a test', (0, 1), cut(d.train, 200), cut(d.test, 100), 0.0)\n"
        "explain.load_data = lambda *_, **__: few\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "--model", tmp_path / "model", "--index", "0", "--quick"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"test image 0: ")
