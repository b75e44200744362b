import contextlib
import json
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import BACKENDS, open_or_skip, ssnn_command

import ssnn

main = ssnn_command("train")
explain = ssnn_command("explain")

QUICK = ["--data", "synthetic", "--iterations", "20"]
SERIES = {preset: (Path(__file__).parent / f"{preset}.txt").read_text() for preset in ("ant", "bear", "cat", "dolphin")}
ADAM = ["--optimizer", "adam", "--batch-size", "84"]


@pytest.mark.parametrize("preset", ["bear", "cat", "dolphin"])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_preset_prints_the_lines_of_its_original(data_dir, capsys, name, preset):
    open_or_skip(name)
    assert main(["--preset", preset, "--backend", name, "--data-dir", str(data_dir)]) == 0
    assert capsys.readouterr().out == SERIES[preset]


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_ant_prints_the_lines_of_its_original(capsys, name):
    open_or_skip(name)
    assert main(["--preset", "ant", "--backend", name]) == 0
    assert capsys.readouterr().out == SERIES["ant"]


def test_bear_is_the_article(capsys):
    found = []
    for preset in ("bear", "article"):
        assert main(["--preset", preset, *QUICK, "--quiet"]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] != ""


def test_ant_may_have_another_rate_and_fewer_iterations(capsys):
    """One step from w = b = 0, where σ is 1/2, by hand."""
    assert main(["--preset", "ant", "--learning-rate", "0.1", "--iterations", "1", "--dtype", "float64"]) == 0
    # Σ (σ(0) - y)·x = (0 + 1 + 2 + 3 + 4 - 5)/2 = 2.5, Σ (σ(0) - y) = (5 - 1)/2 = 2
    out = capsys.readouterr().out
    assert "after the training, parameter w = -0.250000 and b = -0.200000\n" in out
    assert f"cost_last:{6 * math.log(2):f}," in out


def test_flags_beside_a_preset_of_mini_batches_still_count(capsys):
    flags = ["--iterations", "2", "--batch-size", "5000", "--optimizer", "momentum"]
    assert main(["--preset", "dolphin", "--data", "synthetic", "--quiet", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "try to train the model with:",
        "  learning rate: 0.050000",  # of momentum: that of dolphin is Adam's
        "  iteration    : 2",
        "  neurons in hidden layer: 10",
        "  batch_size : 5000.00",
        "",
    ]
    assert [line.partition(",")[0] for line in lines if "iteration" in line][1:] == [
        "iteration/epoch:     1",
        *(f"batch iteration: {number:5d}" for number in (1, 2, 3)),
        "iteration/epoch:     2",
        *(f"batch iteration: {number:5d}" for number in (4, 5, 6)),
    ]


def test_a_run_on_mini_batches_says_what_it_does(capsys):
    assert main(["--data", "synthetic", "--iterations", "2", *ADAM]) == 0
    out, err = capsys.readouterr()
    assert "\nadam, learning rate 0.01; mini-batches of 84 in a random order\n" in err
    shown = r"^iteration     2  cost \d\.\d{6}  \d+ µs per update, [\d,]+ images per second, standardised pixels$"
    assert re.search(shown, err, re.M)
    assert re.search(r"302 updates \d+\.\d\d s", re.sub(r"\n +", " ", out))
    assert max(map(len, (out + err).splitlines())) <= 100


def test_a_batch_size_above_the_images_is_the_full_batch_and_says_so(capsys):
    said = []
    for flags in ([], ["--batch-size", "20000"]):
        assert main([*QUICK, *flags, "--json", "-"]) == 0
        out, err = capsys.readouterr()
        said.append(
            ("full batch: there are 12,665 images, and the batch size is 20,000" in err, json.loads(out)["costs"])
        )
    assert [is_said for is_said, _ in said] == [False, True]
    assert said[0][1] == said[1][1]


def test_a_run_on_mini_batches_goes_on_as_if_it_had_not_stopped(tmp_path, capsys):
    whole, part = str(tmp_path / "whole.safetensors"), str(tmp_path / "part.safetensors")
    assert main(["--data", "synthetic", "--iterations", "3", *ADAM, "--quiet", "--save", whole]) == 0
    assert main(["--data", "synthetic", "--iterations", "2", *ADAM, "--quiet", "--save", part]) == 0
    assert main(["--iterations", "3", "--resume", part, "--quiet", "--save", part]) == 0
    expected, found = ssnn.load_model(whole), ssnn.load_model(part)
    assert len(found.costs) == 3 * 151
    assert found.costs == expected.costs
    assert all((a.W == b.W).all() and (a.b == b.b).all() for a, b in zip(found.network, expected.network, strict=True))
    capsys.readouterr()
    for flags, words in (
        (["--optimizer", "gd"], "optimizer gd, not adam"),
        (["--batch-size", "85"], "batch size 85, not 84"),
        (["--order", "file"], "order file, not random"),
        (["--beta-1", "0.8"], "beta_1 0.8, not 0.9"),
    ):
        assert main(["--iterations", "4", "--resume", part, "--quiet", *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


def test_flags_beside_the_preset_still_count(capsys):
    assert main(["--preset", "article", *QUICK, "--hidden", "4", "3", "--json", "-", "--quiet"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["settings"] == {
        "hidden": [4, 3],
        "learning_rate": 0.5,
        "iterations": 20,
        "seed": 561,
        "constant_features": "keep",
        "optimizer": "gd",
        **dict.fromkeys(("batch_size", "order", "momentum", "beta_1", "beta_2", "epsilon")),
    }
    assert answer["backend"]["dtype"] == "float64"
    assert answer["data"]["features"] == 784


def test_the_default_run_fails_on_image_2031_alone(data_dir, capsys):
    assert main(["--data-dir", str(data_dir)]) == 0
    out, err = capsys.readouterr()
    assert "test:     1 of 2,115 wrong, an error rate of 0.0473 %: image 2031\n" in out
    assert re.search(
        r"^time: +load .* s, transfer .* s, compile .* s, 500 iterations .* ms each\), total .* s$",
        re.sub(r"\n +", " ", out),
        re.M,
    )
    lines = err.splitlines()
    assert re.fullmatch(r"numpy \S+ on cpu(, \d+ threads)?, float32, precision highest", lines[0])
    assert lines[1] == "mnist digits 0 and 1 (four IDX files): 12,665 training and 2,115 test images"
    assert len(lines) == 2 + 20 + 1
    assert re.fullmatch(r"iteration   500  cost 0\.00084\d  \d+\.\d\d ms per iteration, standardised pixels", lines[-2])
    assert max(map(len, out.splitlines() + lines)) <= 80


def test_any_two_digits_can_be_told_apart(data_dir, capsys):
    arguments = ["--data-dir", str(data_dir), "--digits", "4", "9", "--iterations", "100", "--json", "-"]
    assert main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["data"]["digits"] == [4, 9]
    assert (answer["data"]["train"], answer["data"]["test"]) == (5842 + 5949, 982 + 1009)
    assert answer["test"]["error_rate"] < 0.05


def test_without_mnist_the_run_goes_on_with_synthetic_digits_and_says_so(capsys):
    assert main(["--iterations", "20"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("synthetic digits: drawn by the program, because MNIST is not in ")
    assert out.startswith("synthetic digits, ")
    assert main(["--iterations", "20", "--quiet", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert "because MNIST is not in" in err
    assert json.loads(out)["data"]["name"] == "synthetic"


def test_quiet_leaves_the_results_alone(capsys):
    assert main([*QUICK, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in re.sub(r"\n +", " ", out).splitlines()] == [
        "synthetic",
        "training:",
        "test:",
        "time:",
    ]


def test_many_errors_are_cut_short(capsys):
    assert main(["--data", "synthetic", "--iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^training: .*: image (\d+, ){9}\d+ and [\d,]+ more$", re.sub(r"\n +", " ", out), re.M)
    assert max(map(len, out.splitlines())) <= 80


def test_a_run_that_keeps_nothing_says_how_to_keep_it(capsys):
    assert main(QUICK) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "the model is not kept; to keep it: --save FILE"


def test_a_run_ends_with_a_command_that_explains_the_model(tmp_path, capsys, data_dir):
    save = str(tmp_path / "my model\x1b")
    arguments = ["--data-dir", str(data_dir), "--iterations", "20", "--save", save]
    assert main(arguments) == 0
    saved, _, command = capsys.readouterr().err.splitlines()[-1].partition("; see why: ")
    assert saved == f"saved to {tmp_path}/my model\N{REPLACEMENT CHARACTER}"
    assert shlex.split(command) == ["ssnn", "explain", "--model", saved.removeprefix("saved to "), *arguments[:2]]
    assert explain([*shlex.split(command)[2:3], save, *arguments[:2], "--quick"]) == 0
    for silent in (["--quiet"], ["--json", "-"]):
        assert main([*arguments, *silent]) == 0
        assert "saved to" not in capsys.readouterr().err


def test_json_goes_to_a_file_whole(tmp_path, capsys):
    path = tmp_path / "result.json"
    path.write_text("old")
    assert main([*QUICK, "--json", str(path)]) == 0
    answer = json.loads(path.read_text())
    assert answer["schema"] == "ssnn.train/1"
    assert len(answer["costs"]) == 20
    assert capsys.readouterr().out.startswith("synthetic digits")
    assert list(tmp_path.glob("*")) == [path]


def test_json_on_standard_output_stands_alone(capsys):
    assert main([*QUICK, "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["data"]["name"] == "synthetic"
    assert "test:     " in err


def test_json_goes_into_a_pipe_and_leaves_it_there(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(path.read_text)
        assert main([*QUICK, "--quiet", "--json", str(path)]) == 0
    assert json.loads(read.result())["schema"] == "ssnn.train/1"
    assert path.is_fifo()


@pytest.fixture
def no_training(monkeypatch):
    """Mistakes of usage are told before anything is computed."""
    monkeypatch.setattr("ssnn.cli.train.fit", None)


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.setattr("ssnn.cli.train.load_data", None)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--iteration 5", "unrecognized arguments: --iteration 5; see ssnn train --help"),
        ("--iterations many", "argument --iterations: invalid int value: 'many'; see ssnn train --help"),
        ("--iterations 0", "0 iterations: at least 1 is needed"),
        (
            "--hidden 10 0",
            "hidden layers (10, 0): each needs at least 1 neuron; no layer is () in Python, 0 in a shell",
        ),
        ("--learning-rate -1", "learning rate -1.0: a positive, finite number is needed"),
        ("--learning-rate nan", "learning rate nan: a positive, finite number is needed"),
        ("--seed -1", "seed -1: it must lie in 0 … 4294967295"),
        ("--constant-features some", "constant features 'some': choose drop or keep"),
        (
            "--preset book",
            "argument --preset: invalid choice: 'book' (choose from 'ant', 'article', 'bear', 'cat', 'dolphin'); "
            "see ssnn train --help",
        ),
        ("--batch-size 0", "batch size 0: at least 1 is needed"),
        ("--batch-size 99999999999", "batch size 99,999,999,999: at most 2,147,483,647 is possible"),
        ("--optimizer sgd", "optimizer 'sgd': choose gd, momentum or adam"),
        ("--order file", "order file: it needs a batch size, for it is that of mini-batches"),
        ("--batch-size 9 --order up", "order 'up': choose random or file"),
        ("--beta-1 0.9", "beta_1 is an option of adam, and the optimizer is gd"),
        ("--optimizer adam --beta-2 1", "beta_2 1.0: a number from 0 to below 1 is needed"),
        ("--optimizer momentum --momentum -0.1", "momentum -0.1: a number from 0 to below 1 is needed"),
        ("--optimizer adam --epsilon nan", "epsilon nan: a finite number from 0 on is needed"),
        (
            "--preset ant --hidden 3",
            "--preset ant trains one neuron on six numbers of its own: --hidden has no meaning",
        ),
        ("--preset ant --save FILE", "--preset ant trains one neuron on six numbers of its own: --save has no meaning"),
        ("--backend mlx", "unknown backend 'mlx'; choose one of numpy, cupy, jax, torch, strict"),
        ("--dtype half", "unknown dtype 'half'; choose one of float32, float64"),
        ("--precision low", "unknown precision 'low'; choose one of highest, tf32"),
        ("--precision tf32", "numpy has no tf32; leave the precision at 'highest'"),
        ("--device gpu", "numpy never runs on 'gpu', only on cpu"),
        ("--threads 0", "0 threads: choose 1 … 1024"),
        ("--threads 99999999999999999999", "99999999999999999999 threads: choose 1 … 1024"),
        ("--hidden 99999999999999999999", "neurons and iterations: at most 2147483647 are possible"),
        ("--data cifar", "unknown data 'cifar'; choose one of auto, mnist, idx, synthetic"),
        ("--digits 3 3", "digits 3, 3: two different ones of 0 … 9 are needed"),
        ("--json /nowhere/result.json", "/nowhere/result.json cannot be written: there is no folder /nowhere"),
        ("--json /", "/ is a folder; name a file"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(capsys, arguments, message):
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.replace("(choose from article)", "(choose from 'article')") == f"ssnn train: error: {message}\n"


def test_a_backend_that_cannot_run_exits_with_3_and_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setenv("SSNN_BACKEND", "cupy")
    assert main(QUICK) == 3
    err = capsys.readouterr().err
    assert err.startswith("ssnn train: error: backend 'cupy' cannot run here: cupy is not installed; what would help: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("source", ["mnist", "auto"])
def test_wrong_data_exits_with_5_and_one_line(capsys, tmp_path, source):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"nonsense")
    assert main(["--data", source, "--data-dir", str(tmp_path), "--quiet"]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ssnn train: error: {tmp_path}")
    assert err.count("\n") == 1


def test_data_that_cannot_be_had_exits_with_5_and_one_line(capsys):
    assert main(["--data", "mnist"]) == 5
    assert re.fullmatch(
        r"ssnn train: error: MNIST is not in .*; give the folder .* --data-dir\n", capsys.readouterr().err
    )


def test_a_run_that_diverges_exits_with_1_and_one_line(capsys):
    assert main([*QUICK, "--quiet", "--learning-rate", "1e30"]) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"ssnn train: error: the cost is nan at iteration \d; try a learning rate below 1e\+30\n", err)


def test_too_little_memory_exits_with_1_and_one_line(capsys):
    assert main([*QUICK, "--quiet", "--hidden", str(10**9)]) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"ssnn train: error: not enough memory: .*; try fewer neurons or samples\n", err)


def test_a_full_disk_exits_with_1_after_the_results(capsys):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    assert main([*QUICK, "--quiet", "--json", "/dev/full"]) == 1
    out, err = capsys.readouterr()
    assert "test:     " in out
    assert err == "ssnn train: error: /dev/full cannot be written (No space left on device)\n"


def start(*arguments, **options):
    """The program as a process that hears Ctrl-C, even where these tests run in the background and do not."""
    hear = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = "runpy.run_module('ssnn.train', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", f"{hear}; {run}", *QUICK, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("name", BACKENDS)
def test_ctrl_c_exits_with_130_and_no_traceback(name):
    """A progress step takes minutes here: Ctrl-C is heard within it."""
    open_or_skip(name)
    arguments = ("--backend", name, "--iterations", "2000000", "--hidden", "1")
    with start(*arguments, stderr=subprocess.PIPE) as process:
        while not process.stderr.readline().startswith("synthetic"):
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err == "\nssnn train: interrupted\n"


@pytest.mark.parametrize("redirection", [">/dev/full", "--json - >/dev/full"])
def test_standard_output_that_cannot_be_written_is_told(redirection):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    shell = f"exec '{sys.executable}' -m ssnn.train {' '.join(QUICK)} --quiet {redirection}"
    process = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == ("ssnn train: error: output cannot be written (No space left on device)")
    assert "Traceback" not in process.stderr


def test_an_error_keeps_its_exit_code_where_nobody_can_read_it():
    shell = f"exec '{sys.executable}' -m ssnn.train --iterations 0 2>&-"
    assert subprocess.run(["sh", "-c", shell], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_standard_streams_are_no_error(redirection, tmp_path):
    path = tmp_path / "model"
    shell = f"exec '{sys.executable}' -m ssnn.train {' '.join(QUICK)} --save '{path}' {redirection}"
    process = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert process.returncode == 0
    assert "Traceback" not in process.stderr
    assert len(ssnn.load_model(path).costs) == 20  # nothing that was printed went into the file


@pytest.mark.parametrize("preset", [[], ["--preset", "article"]])
@pytest.mark.parametrize("broken", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_what_cannot_be_printed_takes_nothing_that_is_kept(tmp_path, preset, broken):
    """As `2>&1 | head -1` does: nothing reads any more, and the model and the record are written all the same."""
    reader, writer = os.pipe()
    os.close(reader)
    model, record = tmp_path / "model", tmp_path / "record"
    files = ["--save", str(model), "--json", str(record), "--checkpoint-every", "10"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **dict.fromkeys(broken, writer)}
    command = [sys.executable, "-m", "ssnn", "train", *preset, *QUICK, *files]
    process = subprocess.run(command, **streams, text=True, check=False)
    os.close(writer)
    assert process.returncode == 1
    assert len(ssnn.load_model(model).costs) == 20
    assert json.loads(record.read_text())["schema"] == "ssnn.train/1"
    if "stderr" not in broken:
        assert process.stderr.endswith("\nssnn train: error: output cannot be written (Broken pipe)\n")
        assert process.stderr.count("error") == 1
    elif "stdout" not in broken:
        assert ("err rate" if preset else "test:     ") in process.stdout


def test_a_terminal_that_closes_ends_the_run_with_129_and_saves(tmp_path):
    path, (ours, theirs) = tmp_path / "model", pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    hear = "signal.signal(signal.SIGHUP, signal.SIG_DFL); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    run = "runpy.run_module('ssnn.train', run_name='__main__', alter_sys=True)"
    program = f"import fcntl, runpy, signal, termios; {hear}; {run}"
    command = [sys.executable, "-c", program, *QUICK, "--iterations", "100000000", "--save", str(path)]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with (
        subprocess.Popen(command, **streams, start_new_session=True) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        os.close(theirs)
        shown = b""
        while b"iterations" not in shown:  # the bar, which is drawn once a signal is deferred
            shown += os.read(ours, 1024)
        os.close(ours)
        assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert ssnn.load_model(path).costs


def test_a_variable_that_the_progress_bar_refuses_is_named():
    name = "TQDM_MININTERVAL"  # which all versions of tqdm check, as they do not TQDM_NCOLS
    command = [sys.executable, "-m", "ssnn", "train", *QUICK]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, name: "many"}, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith(f"ssnn train: error: tqdm, which draws progress bars, refuses one of {name}: ")
    assert process.stderr.count("\n") == 1


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("hidden", ["10000000", "5 100000000 5"])
def test_a_network_that_does_not_fit_is_refused_before_the_data_are_loaded(capsys, monkeypatch, hidden):
    monkeypatch.setattr("ssnn.system.machine.free_memory", lambda: 4 * 10**9)
    assert main(["--hidden", *hidden.split()]) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(
        r"ssnn train: error: not enough memory: .* hidden neurons need \S+ GB, and 4.0 GB are free; try fewer .*\n", err
    )


def test_an_output_is_no_file_of_the_data(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("SSNN_DATA_DIR", str(tmp_path))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(b"kept")
    for output in ("--save", "--json", "--html"):
        assert main([output, str(path)]) == 2
        assert "is named twice" in capsys.readouterr().err
    assert path.read_bytes() == b"kept"


def test_a_terminal_gets_a_progress_bar():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    shown = b""
    with start(stderr=theirs) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # the other end closes when the process ends
            while True:
                shown += os.read(ours, 1024)
    os.close(ours)
    assert process.returncode == 0
    assert re.search(rb"100%\|.*\| 20/20 iterations, cost \d\.\d{6}  \d+\.\d\d ms per iteration", shown)


def test_whoever_stops_reading_is_no_error():
    with start(stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Exception" not in err


def test_the_console_script_runs_the_same_command(capsys):
    from ssnn.__main__ import main as console_script

    assert console_script(["train", *QUICK, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["iterations"] == 20
    assert console_script(["train", "--iterations", "0"]) == 2
    assert console_script(["trian"]) == 2
    assert "invalid choice: 'trian'" in capsys.readouterr().err
