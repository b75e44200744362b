import io
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from support import ssnn_command

from ssnn import backends
from ssnn.backends import registry
from ssnn.backends.numpy import NumpyBackend
from ssnn.backends.options import Options
from ssnn.cli import compare as cli_compare
from ssnn.cli.tables import table
from ssnn.errors import BackendError
from ssnn.system import machine
from ssnn.timing import comparison
from ssnn.timing.trial import Measurement

QUICK = ["--data", "synthetic", "--samples", "300", "--iterations", "5"]

main = ssnn_command("compare")


class DisagreeingBackend(NumpyBackend):
    """Does one iteration too many."""

    name = "disagreeing"

    def loop(self, gradients, update, k, accumulation):
        return super().loop(gradients, update, k + 1, accumulation)


class HungryBackend(NumpyBackend):
    name = "hungry"

    def loop(self, *_):
        raise MemoryError("5 GB more")


class ClosedBackend(NumpyBackend):
    name = "closed"

    def __init__(self, options):
        raise BackendError("the driver went away")


@pytest.fixture
def only(monkeypatch):
    """No backends but NumPy and these, and all in this process: a new one would not know them."""
    monkeypatch.setattr(comparison, "in_a_process", lambda function, *arguments: function(*arguments))

    def only(*classes):
        ours = {cls.name: f"{__name__}:{cls.__name__}" for cls in classes}
        monkeypatch.setattr(registry, "BUILT_IN", {"numpy": registry.BUILT_IN["numpy"], **ours})

    return only


def test_every_usable_backend_stands_in_the_table(capsys):
    assert main([*QUICK, "--hidden", "4", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"300 synthetic digits, float32, on .*, \d+ cores.*", lines[0])
    assert lines[2].split()[:3] == ["hidden", "backend", "ms/iter"]
    assert max(map(len, lines)) <= 80
    usable = {backend.name for backend in backends.available_backends() if backend.usable}
    rows = [line.split() for line in lines[3 : 3 + 2 * len(usable)]]
    assert {(row[0], row[1]) for row in rows} == {(hidden, name) for hidden in "24" for name in usable}
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    recommended = [line for line in lines if line.startswith("For 5 iterations with")]
    assert [re.search(r"with (\d) hidden neurons take (\w+): \d+\.\d\d s", line)[1] for line in recommended] == [*"24"]
    assert all("strict" not in line for line in recommended)


def test_a_backend_that_cannot_run_is_listed_with_the_reason(capsys, monkeypatch, only):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy = registry.BUILT_IN["cupy"]
    only()
    registry.BUILT_IN["cupy"] = cupy
    assert main([*QUICK, "--hidden", "2"]) == 0
    assert "cupy cannot run here: cupy is not installed; what would help: python -m pip" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_comparison_as_json(capsys, tmp_path, only):
    only()
    path = tmp_path / "compare.json"
    assert main([*QUICK, "--json", str(path)]) == 0
    answer = json.loads(path.read_text())
    assert list(answer) == ["schema", "machine", "measurements", "failures", "recommendations", "not_usable"]
    assert answer["schema"] == "ssnn.compare/2"
    first = answer["measurements"][0]
    assert (first["backend"]["name"], first["hidden"], first["samples"], first["iterations"]) == ("numpy", [10], 300, 5)
    assert first["disagreement"] <= first["tolerance"]
    assert len(first["calls"]) == comparison.ROUNDS
    assert answer["recommendations"][0]["text"] in capsys.readouterr().out
    assert main([*QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "ssnn.compare/2"


def test_disagreement_exits_with_4_and_says_which_backend_and_by_how_much(capsys, only):
    only(DisagreeingBackend)
    assert main([*QUICK, "--hidden", "3", "4"]) == 4
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines()[3:5]] == ["numpy", "numpy"]
    for hidden, line in zip("34", err.splitlines(), strict=True):
        differs = r"disagreeing float32 differs from NumPy float64 by \S+ after 5 updates; the tolerance is \S+"
        assert re.fullmatch(rf"ssnn compare: error: {differs} \(hidden {hidden}\)", line)


def test_backends_that_fail_leave_the_others_their_rows(capsys, only):
    only(HungryBackend, ClosedBackend)
    assert main([*QUICK, "--hidden", "3"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[3].split()[1] == "numpy"
    assert "hungry, hidden 3: not enough memory: 5 GB more" in out
    assert "closed, hidden 3: the driver went away" in out


def test_the_record_is_written_whether_anybody_reads_the_table_or_not(tmp_path, capsys, monkeypatch, only):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    only()
    path = tmp_path / "compare.json"
    monkeypatch.setattr(sys, "stdout", Gone())
    assert main([*QUICK, "--json", str(path)]) == 1
    assert json.loads(path.read_text())["measurements"]
    assert capsys.readouterr().err == "ssnn compare: error: output cannot be written (Broken pipe)\n"


def test_the_record_is_no_file_of_the_data(capsys, tmp_path):
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(b"kept")
    assert main(["--data-dir", str(tmp_path), "--json", str(path)]) == 2
    assert "is named twice" in capsys.readouterr().err
    assert path.read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--hidden 0", "--hidden 0: choose 1 … 2147483647"),
        ("--hidden 10 -3", "--hidden -3: choose 1 … 2147483647"),
        ("--samples 0", "--samples 0: choose 1 … 2147483647"),
        ("--iterations 0", "--iterations 0: choose 1 … 2147483647"),
        ("--dtype half", "unknown dtype 'half'; choose one of float32, float64"),
        ("--data cifar", "unknown data 'cifar'; choose one of auto, mnist, idx, synthetic"),
        ("--backend numpy", "unrecognized arguments: --backend numpy; see ssnn compare --help"),
        ("--json /nowhere/compare.json", "/nowhere/compare.json cannot be written: there is no folder /nowhere"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(capsys, arguments, message):
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"ssnn compare: error: {message}\n")


def test_a_size_that_does_not_fit_is_refused_before_anything_runs(capsys, monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 10**9)
    monkeypatch.setattr(cli_compare, "load_data", None)
    assert main(["--samples", "1000000"]) == 1
    err = capsys.readouterr().err
    assert err == (
        "ssnn compare: error: not enough memory: 1,000,000 samples and 10 hidden neurons need 7.8 GB, "
        "and 1.0 GB are free; try fewer neurons or samples\n"
    )


@pytest.mark.slow
def test_ctrl_c_exits_with_130_and_leaves_no_process():
    """A terminal signals all processes; here the parent comes last, so that it cannot end the others before."""
    hear = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = "sys.argv[:] = ['ssnn', 'compare', *sys.argv[1:]]; runpy.run_module('ssnn', run_name='__main__')"
    command = [sys.executable, "-c", f"{hear}; {run}", "--data", "synthetic", "--hidden", "3000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as process:
        started = []
        while not any("numpy" in mapped.path for child in started for mapped in child.memory_maps()):
            started = psutil.Process(process.pid).children()  # till one of them is in the midst of its imports
        for child in started:
            child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "\nssnn compare: interrupted\n")
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


@pytest.mark.parametrize(("calls", "seconds"), [((0.001, 0.002), 1e-3), ((12.3456, 98.7654), 50.0)])
def test_a_row_of_a_gpu_fits_a_terminal(calls, seconds):
    described = NumpyBackend(Options()).describe()
    gpu = replace(described, name="torch", device="cuda:0 NVIDIA H100 80GB HBM3")
    sizes = {"data": "mnist", "samples": 12665, "features": 617, "hidden": (100000,), "iterations": 1}
    timed = {"transfer": seconds, "compile": seconds, "first_call": seconds, "disagreement": 1e-7, "tolerance": 1e-3}
    slow = Measurement(described, **sizes, **timed, calls=(2 * max(calls),) * 2)
    row = Measurement(gpu, **sizes, **timed, opening=1e4, calls=calls)
    shown = table([cli_compare.HEADINGS, cli_compare._row(row, slow)], cli_compare.NUMBERS)
    assert max(map(len, shown.splitlines())) <= 80
