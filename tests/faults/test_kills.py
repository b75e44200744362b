"""Kills and signals at random moments: files are whole or absent, and every ending has its exit code."""

import json
import os
import signal
import sys
import time
from random import Random

import numpy as np
import psutil
import pytest
from idx_files import idx_bytes

import ssnn
from ssnn.data.dataset import SIDE
from ssnn.system.signals import ENDINGS

if sys.platform == "win32":
    pytest.skip("these are the signals of POSIX", allow_module_level=True)

import termios

pytestmark = pytest.mark.slow

# Before the first line of ssnn, and after its last, a signal ends Python as it ends any program.
LAUNCHER = """
import os, runpy, sys
from ssnn.system import signals
end_on_signals, descriptor = signals.end_on_signals, int(sys.argv.pop(1))

def handled():
    end_on_signals()
    os.close(descriptor)

signals.end_on_signals = handled
runpy.run_module("ssnn", run_name="__main__", alter_sys=True)
"""
LAST = {"train": "\ntime: ", "predict": "[2999]", "evaluate": " wrong", "explain": "\nmargins "}  # of what they print
ITERATIONS = 400


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A file of images that takes a while to be judged."""
    path = tmp_path_factory.mktemp("images") / "images"
    path.write_bytes(idx_bytes(np.random.default_rng(0).integers(0, 256, (3000, SIDE, SIDE), np.uint8)))
    return path


@pytest.fixture
def start_handled(start):
    """Start a command, and return once it handles signals."""

    def begin(*arguments):
        reader, writer = os.pipe()
        process = start(writer, *arguments, python=("-c", LAUNCHER), pass_fds=(writer,))
        os.close(writer)
        assert os.read(reader, 1) == b""  # it has closed its end
        os.close(reader)
        return process

    return begin


def seconds_of_a_run(start, arguments):
    started = time.monotonic()
    process = start(*arguments)
    process.communicate()
    assert process.returncode == 0
    return time.monotonic() - started


def whole(path):
    """Read a model or a JSON file, which fails where it is not whole."""
    return json.loads(path.read_text()) if path.suffix == ".json" else ssnn.load_model(path)


@pytest.mark.parametrize("command", ["train", "predict"])
def test_sigkill_at_any_moment_leaves_a_whole_file(
    start, folder, model, images, tmp_path, totals, two_at_a_time, command
):
    """Two write to the same file, and one may find what the other left: an old file, a new one, a temporary one."""
    path = tmp_path / "out" / {"train": "model", "predict": "record.json"}[command]
    path.parent.mkdir()
    training = ["--data-dir", folder, "--hidden", 2, "--iterations", 100, "--checkpoint-every", 1, "--save", path]
    arguments = {
        "train": ["train", "--quiet", *training],
        "predict": ["predict", "--model", model, images, "--json", path],
    }[command]
    seconds, random = seconds_of_a_run(start, arguments), Random(0)

    def kill(moment):
        process = start(*arguments)
        time.sleep(moment)
        process.kill()
        process.communicate()
        found = whole(path)
        return len(found.costs if command == "train" else found["predictions"])

    reached = two_at_a_time(kill, [random.uniform(0.1, 1.2) * seconds for _ in range(40)])
    totals["kills"] += len(reached)
    if command == "train":
        assert len(set(reached)) > 5  # they were hit at work
    else:
        assert set(reached) == {3000}
    seconds_of_a_run(start, arguments)
    assert list(path.parent.iterdir()) == [path]  # what the killed ones left is gone


def killers(random):
    """One signal, or several at once or soon after another."""
    numbers = [random.choice(list(ENDINGS)) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    return [(number, random.choice([0, 0, 0.02, 0.2, 1.1])) for number in numbers]


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("train", None),
        ("train", "--save"),
        ("train", "--json"),
        ("predict", "--json"),
        ("evaluate", "--json"),
        ("explain", "--json"),
    ],
)
def test_a_signal_at_any_moment_has_its_exit_code(
    start_handled, folder, model, images, tmp_path, totals, two_at_a_time, command, output
):
    arguments = {
        "train": ["train", "--data-dir", folder, "--hidden", 2, "--iterations", ITERATIONS, "--quiet"],
        "predict": ["predict", "--model", model, images],
        "evaluate": ["evaluate", "--model", model, "--data-dir", folder],
        "explain": ["explain", "--quick", "--model", model, "--data-dir", folder],
    }[command]
    random, name = Random(f"{command} {output}"), "model" if output == "--save" else "record.json"

    def with_output(index):
        path = tmp_path / str(index) / name
        path.parent.mkdir()
        return path, [*arguments, output, path] if output else arguments

    def send(case):
        index, moment, signals = case
        path, complete = with_output(index)
        process = start_handled(*complete)
        time.sleep(moment)
        for number, pause in signals:
            process.send_signal(number)
            time.sleep(pause)
        out, err = process.communicate(timeout=60)
        code, sent = process.returncode, [number for number, _ in signals]
        assert code == 0 or -code in sent or code - 128 in sent, err
        assert "Traceback" not in err
        assert "Exception ignored" not in err
        if code <= 0:  # it was done
            assert LAST[command] in out
        else:
            last = err.splitlines()[-1]
            assert last.endswith(f": {ENDINGS[code - 128]}") or "to go on: python -m ssnn.train" in last
        left = list(path.parent.iterdir())
        assert left in ([], [path])
        if path.exists():
            reached = whole(path)
            assert output != "--save" or 0 < len(reached.costs) <= ITERATIONS
        else:
            assert code > 0 or output is None
        return code

    seconds = seconds_of_a_run(start_handled, with_output("whole")[1])
    cases = [(index, random.uniform(0, 1.2) * seconds, killers(random)) for index in range(25)]
    codes = two_at_a_time(send, cases)
    totals["signals"] += sum(len(signals) for _, _, signals in cases)
    assert sum(code > 128 for code in codes) > 8  # they were hit at work


@pytest.mark.parametrize("number", ENDINGS)
def test_the_wait_after_a_signal_is_short_however_long_the_run(start, folder, tmp_path, number, totals, two_at_a_time):
    def stop(moment):
        path = tmp_path / f"model {moment}"
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        process = start("train", "--data-dir", folder, "--iterations", 10**8, "--save", path, stderr=theirs)
        os.close(theirs)
        seen = b""
        while b"iterations" not in seen:  # the bar is drawn once the run can be stopped
            seen += os.read(ours, 1000)
        time.sleep(moment)
        process.send_signal(number)
        sent = time.monotonic()
        process.communicate(timeout=60)
        seconds = time.monotonic() - sent
        seen += os.read(ours, 1 << 16)
        os.close(ours)
        assert seconds < 10  # two where nothing else computes
        assert process.returncode == 128 + number, seen.decode()
        assert ssnn.load_model(path).costs

    moments = [0.01, 0.5, 2]
    two_at_a_time(stop, moments)
    totals["signals"] += len(moments)


@pytest.mark.parametrize("number", [signal.SIGKILL, *ENDINGS])
def test_no_child_outlives_its_parent(start, number, totals, two_at_a_time):
    random = Random(number)

    def stop(moment):
        process = start("compare", "--data", "synthetic", "--hidden", 10, 300)
        parent = psutil.Process(process.pid)
        while not parent.children(recursive=True):
            time.sleep(0.01)
        time.sleep(moment)
        children = parent.children(recursive=True)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), err
        assert "Traceback" not in err
        assert children
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive

    moments = [random.uniform(0, 1) for _ in range(4)]
    two_at_a_time(stop, moments)
    totals["kills" if number == signal.SIGKILL else "signals"] += len(moments)
