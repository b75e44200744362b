import errno
import gzip
import io
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from support import ssnn_command

import ssnn
from ssnn.model.serialization import save_model
from ssnn.settings import Settings
from ssnn.training.trainer import fit

evaluate = ssnn_command("evaluate")
predict = ssnn_command("predict")


def idx_file(path, pixels, side=28, magic=0x803):
    content = struct.pack(">4I", magic, len(pixels), side, side) + pixels.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


@pytest.fixture(scope="module")
def model(few_digits):
    return fit(few_digits, settings=Settings(iterations=30))


@pytest.fixture
def saved(tmp_path, model):
    save_model(model, tmp_path / "model")
    return ["--model", str(tmp_path / "model")]


def answers(out):
    return [json.loads(line.rstrip(",")) for line in out.splitlines()[1:-1]]


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_the_images_of_an_idx_file_are_told_one_by_one(tmp_path, few_digits, model, saved, capsys, name):
    pixels = few_digits.test.pixels
    file = idx_file(tmp_path / name, pixels)
    assert predict([*saved, file]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "digit", "probability", "novelty"]
    assert [line.split()[:2] for line in lines] == [
        [f"{file}[{i}]", str(d)] for i, d in enumerate(model.predict(pixels))
    ]
    assert predict([*saved, file, "--json", "-"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["schema"] == "ssnn.predict/2"
    assert json.loads(out)["predictions"] == answers(out)
    np.testing.assert_allclose([a["probability"] for a in answers(out)], model.predict_proba(pixels).max(axis=1))
    np.testing.assert_allclose([a["novelty"] for a in answers(out)], model.novelty_score(pixels))


def test_blocks_are_seamless(tmp_path, few_digits, model, saved, capsys, monkeypatch):
    monkeypatch.setattr("ssnn.cli.predict.MAX_BLOCK", 7)
    assert predict([*saved, idx_file(tmp_path / "images", few_digits.test.pixels), "--json", "-"]) == 0
    found = answers(capsys.readouterr().out)
    assert [a["index"] for a in found] == list(range(100))
    assert [a["digit"] for a in found] == model.predict(few_digits.test.pixels).tolist()


def test_pictures_are_brought_into_mnist_s_form(tmp_path, few_digits, saved, capsys):
    """Dark on light, in colour, larger: the same verdicts as of the image itself."""
    files = []
    for index, pixels in enumerate(few_digits.test.pixels[:20]):
        image = Image.fromarray(255 - pixels.reshape(28, 28)).resize((280, 280), Image.Resampling.BILINEAR)
        files.append(str(tmp_path / f"{index}.png"))
        image.convert("RGB").save(files[-1])
    assert predict([*saved, *files, "--json", "-"]) == 0
    found = answers(capsys.readouterr().out)
    assert [a["digit"] for a in found] == few_digits.test.labels[:20].tolist()
    assert [(a["file"], a["index"]) for a in found] == [(file, None) for file in files]


def test_a_picture_can_be_taken_as_it_is(tmp_path, few_digits, model, saved, capsys):
    file = tmp_path / "4.png"
    Image.fromarray(few_digits.test.pixels[4].reshape(28, 28)).save(file)
    assert predict([*saved, "--no-normalize", str(file), "--json", "-"]) == 0
    (answer,) = answers(capsys.readouterr().out)
    assert answer["probability"] == pytest.approx(model.predict_proba(few_digits.test.pixels[4:5]).max(), rel=1e-6)


def test_strangers_are_warned_of(tmp_path, saved, capsys, random):
    pixels = np.stack([np.zeros(784, np.uint8), random.integers(0, 256, 784, np.uint8)])
    assert predict([*saved, idx_file(tmp_path / "images", pixels)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("  no ink found")
    assert lines[2].endswith("  unlike the training images")


def test_a_bad_file_takes_no_good_one_with_it(tmp_path, few_digits, saved, capsys):
    good = idx_file(tmp_path / "good", few_digits.test.pixels[:3])
    short = tmp_path / "short"
    short.write_bytes((tmp_path / "good").read_bytes()[:-5])
    labels = idx_file(tmp_path / "labels", few_digits.test.labels, magic=0x801)
    small = idx_file(tmp_path / "small", few_digits.test.pixels[:, :196], side=14)
    assert predict([*saved, str(tmp_path / "none.png"), str(short), labels, small, good]) == 5
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == [f"{good}[{i}]" for i in range(3)]
    assert err.splitlines() == [
        f"ssnn predict: error: {tmp_path / 'none.png'}: missing",
        f"ssnn predict: error: {short}: truncated: 5 bytes missing of the 2352 that its header promises",
        f"ssnn predict: error: {labels}: magic number 0x00000801 where 0x00000803 is expected: not such an IDX file",
        f"ssnn predict: error: {small}: images of 14x14 pixels, where 28x28 are known",
    ]


def test_strange_files_are_told_in_one_line(tmp_path, saved, capsys):
    vast, nan, pipe = (tmp_path / name for name in ("vast", "nan.tif", "pipe"))
    vast.write_bytes(struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    Image.fromarray(np.full((28, 28), np.nan, np.float32)).save(nan)
    os.mkfifo(pipe)
    assert predict([*saved, str(vast), str(nan), str(pipe), str(tmp_path)]) == 5
    assert capsys.readouterr().err.splitlines() == [
        f"ssnn predict: error: {vast}: images of 4294967295x4294967295 pixels, where 28x28 are known",
        f"ssnn predict: error: {nan}: cannot be read (it holds values that are not finite)",
        f"ssnn predict: error: {pipe}: a folder, pipe or device, where a file is expected",
        f"ssnn predict: error: {tmp_path}: a folder, pipe or device, where a file is expected",
    ]


def drawn(path, few_digits):
    Image.fromarray(few_digits.test.pixels[0].reshape(28, 28)).save(path)
    return str(path)


@pytest.mark.parametrize("bad", ["x" * 5000, "a\0b", "", "circle", "vast.png", "/dev/zero"])
def test_no_bad_path_ends_the_batch(bad, tmp_path, few_digits, saved, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("circle", "circle")
    Image.new("1", (5000, 5000)).save("vast.png")
    good = [drawn(name, few_digits) for name in ("first.png", "last.png")]
    assert predict([*saved, good[0], bad, good[1], "--json", "answer.json"]) == 5
    assert [p["file"] for p in json.loads((tmp_path / "answer.json").read_text())["predictions"]] == good
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == good
    assert max(map(len, out.splitlines())) < 100  # the bad name makes no column wider
    (line,) = err.splitlines()
    assert line.startswith("ssnn predict: error: ")
    assert line.isprintable()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_are_printable_and_in_line(encoding, tmp_path, few_digits, saved):
    names = ["plain.png", os.fsdecode(b"b\xff.png"), "\x1b[31mred\n.png", "\u202egnp.png", "é.png"]
    files = [drawn(tmp_path / name, few_digits) for name in names]
    process = subprocess.run(
        [sys.executable, "-m", "ssnn", "predict", *saved, *files, "--json", tmp_path / "answer.json"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, b"")
    head, *lines = process.stdout.decode(encoding).split("\n")[:-1]
    assert len(lines) == len(names)
    assert all(line.isprintable() for line in lines)
    ends = {line.index("%") for line in lines}
    assert ends == {head.index("probability") + len("probability") - 1}
    content = (tmp_path / "answer.json").read_bytes().decode("ascii")
    assert [prediction["file"] for prediction in json.loads(content)["predictions"]] == files


def test_the_json_is_written_where_the_table_cannot_be(tmp_path, few_digits, saved):
    file = drawn(tmp_path / "0.png", few_digits)
    arguments = [sys.executable, "-m", "ssnn", "predict", *saved, file, "--json", tmp_path / "answer.json"]
    with open("/dev/full", "wb") as full:
        process = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr == f"ssnn predict: error: output cannot be written ({os.strerror(errno.ENOSPC)})\n"
    assert len(json.loads((tmp_path / "answer.json").read_text())["predictions"]) == 1


def from_standard_input(monkeypatch, content, is_terminal=False):
    stream = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdin", stream)


@pytest.mark.parametrize("name", ["0.png", "images", "images.gz"])
def test_standard_input_is_predicted_as_the_file_is(name, tmp_path, few_digits, saved, capsys, monkeypatch):
    path = tmp_path / name
    file = drawn(path, few_digits) if path.suffix == ".png" else idx_file(path, few_digits.test.pixels)
    assert predict([*saved, file, "--json", "-"]) == 0
    expected = answers(capsys.readouterr().out)
    from_standard_input(monkeypatch, path.read_bytes())
    assert predict([*saved, "-", "--json", "-"]) == 0
    assert answers(capsys.readouterr().out) == [answer | {"file": "-"} for answer in expected]
    from_standard_input(monkeypatch, path.read_bytes())
    assert predict([*saved, "-"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == ("-" if path.suffix == ".png" else "-[0]")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input: not a picture in a format that is read: "),
        (b"no picture", "standard input: not a picture in a format that is read: "),
        (struct.pack(">4I", 0x803, 3, 28, 28), "standard input: truncated: 2352 bytes missing of the 2352"),
        (bytes(1001), "standard input: more than 1,000 bytes; name a file instead"),
    ],
)
def test_a_wrong_standard_input_takes_no_good_file_with_it(
    content, message, tmp_path, few_digits, saved, capsys, monkeypatch
):
    monkeypatch.setattr("ssnn.cli.predict.MAX_INPUT", 1000)
    from_standard_input(monkeypatch, content)
    good = drawn(tmp_path / "0.png", few_digits)
    assert predict([*saved, "-", good]) == 5
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[0] == good
    assert err.startswith(f"ssnn predict: error: {message}")
    assert err.count("\n") == 1


def test_a_closed_standard_input_is_told(saved, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert predict([*saved, "-"]) == 5
    told = "ssnn predict: error: standard input is closed; lead a file into it, or name one\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("is_terminal", "files", "message"),
    [(True, ["-"], "standard input is a terminal: lead a file into it"), (False, ["-", "-"], "named twice")],
)
def test_standard_input_is_neither_typed_nor_read_twice(is_terminal, files, message, saved, capsys, monkeypatch):
    from_standard_input(monkeypatch, b"", is_terminal)
    assert predict([*saved, *files]) == 2
    assert message in capsys.readouterr().err


def test_a_pipe_is_predicted_and_the_file_that_is_led_in_not_written_over(tmp_path, few_digits, saved):
    path = tmp_path / "0.png"
    before = drawn(path, few_digits) and path.read_bytes()
    command = [sys.executable, "-m", "ssnn", "predict", *saved, "-", "--json"]
    process = subprocess.run([*command, "-"], input=before, capture_output=True, check=True)
    assert json.loads(process.stdout)["predictions"][0]["file"] == "-"
    with path.open("rb") as file:
        process = subprocess.run([*command, path], stdin=file, stderr=subprocess.PIPE, check=False)
    assert (process.returncode, path.read_bytes()) == (2, before)
    assert b"is named twice, also as /dev/stdin" in process.stderr


def test_what_is_read_is_not_written_over(tmp_path, few_digits, saved, capsys):
    file = idx_file(tmp_path / "images", few_digits.test.pixels)
    for json_file in (saved[1], file):
        assert predict([*saved, file, "--json", json_file]) == 2
        assert "is named twice" in capsys.readouterr().err
    assert evaluate([*saved, "--json", saved[1]]) == 2


def test_a_json_file_is_whole_or_as_it_was(tmp_path, few_digits, saved):
    file = idx_file(tmp_path / "images", few_digits.test.pixels)
    assert predict([*saved, file, "--json", str(tmp_path / "answer.json")]) == 0
    assert len(json.loads((tmp_path / "answer.json").read_text())["predictions"]) == 100
    before = (tmp_path / "answer.json").read_bytes()
    program = (
        "import resource, sys\nfrom ssnn.__main__ import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (2000, {2**40}))\nsys.exit(main(['predict', *sys.argv[1:]]))"
    )
    arguments = [*saved, file, "--json", tmp_path / "answer.json"]
    process = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr == f"ssnn predict: error: {tmp_path / 'answer.json'} cannot be written (File too large)\n"
    assert (tmp_path / "answer.json").read_bytes() == before


@pytest.mark.parametrize("program", [predict, evaluate])
def test_a_model_that_cannot_be_used_exits_with_6(tmp_path, capsys, program):
    (tmp_path / "model").write_text("no model")
    arguments = ["--model", str(tmp_path / "model")]
    assert program([*arguments, "image.png"] if program is predict else arguments) == 6
    assert capsys.readouterr().err.endswith(f"error: {tmp_path / 'model'}: not a model of ssnn, or damaged\n")


def test_an_evaluation_says_all_that_is_known(few_digits, saved, model, capsys):
    assert evaluate([*saved, "--data", "synthetic"]) == 0
    out = capsys.readouterr().out
    found = model.evaluate(ssnn.load_data("synthetic").test)
    low, high = found.error_rate_interval
    assert out.splitlines()[:4] == [
        "2,115 synthetic test images of 0 and 1",
        f"error rate   {100 * found.error_rate:.4f} %, with 95 % confidence {100 * low:.4f} % … {100 * high:.4f} %",
        f"log loss     {found.log_loss:.6f} nats",
        f"Brier score  {found.brier_score:.6f}",
    ]
    (a, b), (c, d) = found.confusion
    assert [line.split()[-2:] for line in out.splitlines()[6:8]] == [[f"{a:,}", f"{b:,}"], [f"{c:,}", f"{d:,}"]]
    assert evaluate([*saved, "--data", "synthetic", "--json", "-"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "ssnn.evaluate/1"
    assert answer["log_loss"] == found.log_loss
    assert answer["errors"] == list(found.errors)


def test_the_default_model_is_evaluated_as_its_run_was(mnist_model, data_dir, tmp_path, capsys):
    save_model(mnist_model, tmp_path / "model")
    assert evaluate(["--model", str(tmp_path / "model"), "--data-dir", str(data_dir)]) == 0
    assert capsys.readouterr().out.endswith("1 wrong: image 2031\n")
