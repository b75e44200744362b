import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from ssnn.compare import main

from ssnn import backends
from ssnn.backends import Description
from ssnn.backends.numpy import NumpyBackend
from ssnn.cli import compare as comparison
from ssnn.errors import BackendError, SsnnError
from ssnn.system import machine
from ssnn.system.processes import in_a_process
from ssnn.timing.recommendation import BreakEven, recommend
from ssnn.timing.trial import Measurement

QUICK = ["--data", "synthetic", "--samples", "300", "--iterations", "5"]


def test_every_usable_backend_stands_in_the_table(capsys):
    assert main([*QUICK, "--hidden", "4", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"300 synthetic digits, float32, on .*, \d+ cores.*", lines[0])
    assert lines[2].split()[:3] == ["hidden", "backend", "device"]
    usable = {backend.name for backend in backends.available_backends() if backend.usable}
    rows = [line.split() for line in lines[3 : 3 + 2 * len(usable)]]
    assert {(row[0], row[1]) for row in rows} == {(hidden, name) for hidden in "24" for name in usable}
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    advice = [line for line in lines if line.startswith("For 5 iterations with")]
    assert [re.search(r"with (\d) hidden neurons take (\w+): \d+\.\d\d s", line)[1] for line in advice] == ["2", "4"]
    assert all("strict" not in line for line in advice)


def test_what_cannot_run_is_listed_with_the_reason(capsys, monkeypatch, here):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main([*QUICK, "--hidden", "2"]) == 0
    assert "cupy cannot run here: cupy is not installed; what would help: python -m pip" in capsys.readouterr().out


def test_the_comparison_as_json(capsys, tmp_path, here):
    path = tmp_path / "compare.json"
    assert main([*QUICK, "--json", str(path)]) == 0
    answer = json.loads(path.read_text())
    assert list(answer) == ["schema", "machine", "measurements", "failures", "advice", "not_usable"]
    assert answer["schema"] == "ssnn.compare/1"
    first = answer["measurements"][0]
    assert (first["backend"]["name"], first["hidden"], first["samples"], first["iterations"]) == ("numpy", [10], 300, 5)
    assert first["disagreement"] <= first["tolerance"]
    assert answer["advice"][0]["text"] in capsys.readouterr().out
    assert main([*QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "ssnn.compare/1"


class Broken(NumpyBackend):
    name = "broken"

    def repeat(self, gradients, update, k):
        return super().repeat(gradients, update, k + 1)


class Hungry(NumpyBackend):
    name = "hungry"

    def loop(self, *_):
        raise MemoryError("5 GB more")


class Closed(NumpyBackend):
    name = "closed"

    def __init__(self, options):
        raise BackendError("the driver went away")


@pytest.fixture
def here(monkeypatch):
    """Without new processes, which would not see what a test has changed."""
    monkeypatch.setattr(comparison, "in_a_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(backends, "BUILT_IN", {name: backends.BUILT_IN[name] for name in ("numpy", "cupy")})

    def add(**classes):
        ours = {name: f"test_compare:{cls.__name__}" for name, cls in classes.items()}
        monkeypatch.setattr(backends, "BUILT_IN", {"numpy": backends.BUILT_IN["numpy"], **ours})

    return add


def test_backends_that_disagree_exit_with_4_and_say_who_and_by_how_much(capsys, here):
    here(broken=Broken)
    assert main([*QUICK, "--hidden", "3", "4"]) == 4
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines()[3:5]] == ["numpy", "numpy"]
    told = r"ssnn compare: error: broken float32 is \S+ from NumPy float64 after 5 iterations, .* \(hidden {}\)"
    assert [bool(re.fullmatch(told.format(h), line)) for h, line in zip("34", err.splitlines(), strict=True)] == [
        True
    ] * 2


def test_backends_that_fail_leave_the_others_their_rows(capsys, here):
    here(hungry=Hungry, closed=Closed)
    assert main([*QUICK, "--hidden", "3"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[3].split()[1] == "numpy"
    assert "hungry, hidden 3: not enough memory: 5 GB more" in out
    assert "closed, hidden 3: the driver went away" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--hidden 0", "--hidden 0: choose 1 … 2147483647"),
        ("--hidden 10 -3", "--hidden -3: choose 1 … 2147483647"),
        ("--samples 0", "--samples 0: choose 1 … 2147483647"),
        ("--iterations 0", "--iterations 0: choose 1 … 2147483647"),
        ("--dtype half", "unknown dtype 'half'; choose one of float32, float64"),
        ("--data cifar", "unknown data 'cifar'; choose one of auto, mnist, synthetic"),
        ("--backend numpy", "unrecognized arguments: --backend numpy; see ssnn compare --help"),
        ("--json /nowhere/compare.json", "/nowhere/compare.json cannot be written: there is no folder /nowhere"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(capsys, arguments, message):
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"ssnn compare: error: {message}\n")


def test_a_size_that_does_not_fit_is_told_before_anything_runs(capsys, monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 10**9)
    monkeypatch.setattr(comparison.data, "load", None)
    assert main(["--samples", "1000000"]) == 1
    err = capsys.readouterr().err
    assert err == (
        "ssnn compare: error: not enough memory: 1,000,000 samples and 10 hidden neurons need 7.8 GB, "
        "and 1.0 GB are free; try fewer neurons or samples\n"
    )


def test_ctrl_c_exits_with_130_and_leaves_no_process():
    hear = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = "runpy.run_module('ssnn.compare', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", f"{hear}; {run}", "--data", "synthetic", "--hidden", "3000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as process:
        started = []
        while not any("numpy" in mapped.path for child in started for mapped in child.memory_maps()):
            started = psutil.Process(process.pid).children()  # till one of them is in the midst of its imports
        for child in started:  # a terminal tells them all; here the parent last, so that it cannot end them before
            child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "\nssnn compare: interrupted\n")
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def count(n):
    yield from range(n)
    yield os.getpid()


def fail():
    yield 1
    raise BackendError("no such device")


def die():
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_yields_what_the_function_yields():
    *numbers, pid = in_a_process(count, 3)
    assert numbers == [0, 1, 2]
    assert pid != os.getpid()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [(fail, BackendError, "no such device"), (die, SsnnError, "its process was killed, as systems do that run out")],
)
def test_what_fails_in_a_process_fails_here(function, error, message):
    values = in_a_process(function)
    assert next(values) == 1
    with pytest.raises(error, match=message):
        next(values)


def measurement(name, ms, compile=0.0, hidden=10):
    where = Description(name, name, "1", "cpu", "float32", "highest", 2)
    return Measurement(where, "mnist", 12665, 617, (hidden,), 10, (ms / 100,), 0.0, compile, 0.0, 0.0, 1.0)


def test_advice_weighs_compiling_against_iterations():
    """numpy takes 4 ms each, jax 0.5 s and 2 ms each: both are done at the same time after 250."""
    numpy, jax, strict = measurement("numpy", 4), measurement("jax", 2, compile=0.5), measurement("strict", 1)
    (many,) = recommend([numpy, jax, strict], 500)
    assert (many.backend, many.seconds) == ("jax", pytest.approx(1.5))
    assert (many.below, many.above) == (BreakEven("numpy", 250), None)
    assert str(many) == (
        "For 500 iterations with 10 hidden neurons take jax: 1.50 s from its import on; "
        "below 250 iterations numpy is sooner done."
    )
    (few,) = recommend([numpy, jax, strict], 100)
    assert (few.backend, few.below, few.above) == ("numpy", None, BreakEven("jax", 250))
    assert str(few).endswith("take numpy: 0.40 s from its import on; above 250 iterations jax is.")


def test_advice_counts_the_import():
    slow_to_open = dataclasses.replace(measurement("jax", 2, compile=0.5), opening=1.0)
    (advice,) = recommend([measurement("numpy", 4), slow_to_open], 500)
    assert (advice.backend, advice.above) == ("numpy", BreakEven("jax", 750))


def test_nobody_is_advised_to_use_what_is_for_checking():
    assert recommend([measurement("strict", 1)], 500) == []


def test_advice_turns_at_the_nearest_crossing():
    lines = [measurement("a", 10), measurement("b", 4, compile=0.6), measurement("c", 1, compile=3.0)]
    (advice,) = recommend(lines, 200)
    assert (advice.backend, advice.below, advice.above) == ("b", BreakEven("a", 100), BreakEven("c", 800))


def test_each_size_gets_its_own_advice():
    sizes = [measurement("a", 1), measurement("b", 2), measurement("a", 9, hidden=300), measurement("b", 8, hidden=300)]
    assert [(a.hidden, a.backend) for a in recommend(sizes, 10)] == [((10,), "a"), ((300,), "b")]
    assert all(dataclasses.asdict(a)["below"] is None for a in recommend(sizes, 10))
