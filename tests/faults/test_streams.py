"""Streams that are closed, full or have no reader, full disks: what was reached is saved, and the exit code tells."""

import json
import os
import re
import sys
import time
from contextlib import suppress
from itertools import product
from random import Random

import numpy as np
import pytest
from idx_files import idx_bytes
from support import import_or_skip

import ssnn
from ssnn.data.dataset import SIDE

if sys.platform == "win32":
    pytest.skip("these are the streams of POSIX", allow_module_level=True)

import termios

pytestmark = pytest.mark.slow

CLOSED, FULL, UNREAD = "closed", "full", "without a reader"
CLOSE = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}  # in a shell
FAULTS = (None, CLOSED, UNREAD, *([FULL] if os.path.exists("/dev/full") else []))
COMBINATIONS = [
    {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    for stdin, stdout, stderr in product((None, CLOSED), FAULTS, FAULTS)
    if {stdin, stdout, stderr} != {None} and (stdin is None or {stdout, stderr} <= {None, CLOSED})
]


def broken(fault):
    """A file descriptor that cannot be written to."""
    if fault == FULL:
        return os.open("/dev/full", os.O_WRONLY)
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def run(start, arguments, faults):
    """Run with broken streams, {"stdout": fault}; the exit code, and what could be written on the other streams."""
    options = {stream: broken(fault) for stream, fault in faults.items() if fault in (FULL, UNREAD)}
    closing = " ".join(CLOSE[stream] for stream, fault in faults.items() if fault == CLOSED)
    process = start(*arguments, through=["sh", "-c", f'exec "$@" {closing}', "sh"], **options)
    for descriptor in options.values():
        os.close(descriptor)
    out, err = process.communicate(timeout=120)
    return process.returncode, out or "", err or ""


def without_numbers(text):
    """The text but for times, and the spaces beside them."""
    return " ".join(re.sub(r"\d[\d.,]*(e[+-]\d+)?", "0", text).split())


def failure(faults, out, err):
    """The exit code where a command printed this when nothing was broken."""
    lost = [text for stream, text in (("stdout", out), ("stderr", err)) if faults[stream] in (FULL, UNREAD)]
    return int(any(lost))


@pytest.mark.parametrize("preset", [(), ("--preset", "article")])
def test_what_training_reached_is_saved(start, folder, tmp_path, preset, totals, two_at_a_time):
    def train(faults):
        place = tmp_path / " ".join(map(str, faults.values()))
        place.mkdir()
        path, record = place / "model", place / "record.json"
        arguments = ["train", *preset, "--data-dir", folder, "--iterations", 60, "--save", path, "--json", record]
        code, out, err = run(start, arguments, faults)
        assert len(ssnn.load_model(path).costs) == 60
        assert len(json.loads(record.read_text())["costs"]) == 60
        assert sorted(place.iterdir()) == [path, record]
        assert "Traceback" not in out + err
        return code, out, err.replace(str(place), "place")

    _, whole_out, whole_err = train(dict.fromkeys(CLOSE))

    def train_with(faults):
        code, out, err = train(faults)
        assert code == failure(faults, whole_out, whole_err)
        if faults["stdout"] is None:
            assert without_numbers(out) == without_numbers(whole_out)
        if faults["stderr"] is None and faults["stdout"] in (FULL, UNREAD):
            *err, last = err.splitlines(keepends=True)
            assert last.startswith("ssnn train: error: output cannot be written (")
            err = "".join(err)
        if faults["stderr"] is None:
            assert without_numbers(err) == without_numbers(whole_err)

    two_at_a_time(train_with, COMBINATIONS)
    totals["broken streams"] += len(COMBINATIONS)


@pytest.mark.parametrize(
    "command",
    ["evaluate", "predict", "predict --json -", "explain", "train", "help", "version", "wrong"],
)
def test_each_command_prints_what_it_can_and_tells_the_rest(start, folder, model, command, totals, two_at_a_time):
    name, *json_output = command.split()
    arguments = {
        "evaluate": ["evaluate", "--model", model, "--data-dir", folder],
        "predict": ["predict", "--model", model, folder / "t10k-images-idx3-ubyte"],
        "explain": ["explain", "--quick", "--model", model, "--data-dir", folder],
        "train": ["train", "--data-dir", folder, "--iterations", 20],
        "help": ["--help"],
        "version": ["--version"],
        "wrong": ["evaluate", "--model"],
    }[name] + json_output
    whole_code, whole_out, whole_err = run(start, arguments, dict.fromkeys(CLOSE))

    def check(faults):
        code, out, err = run(start, arguments, faults)
        assert code == (whole_code or failure(faults, whole_out, whole_err))
        if faults["stdout"] is None:
            assert without_numbers(out) == without_numbers(whole_out)
        if faults["stderr"] is None:
            rest = err.removeprefix(whole_err) if faults["stdout"] is None else err
            assert "Traceback" not in rest
            told = [line for line in rest.splitlines() if "output cannot be written" in line]
            assert len(told) == (faults["stdout"] == FULL and bool(whole_out))

    two_at_a_time(check, COMBINATIONS)
    totals["broken streams"] += len(COMBINATIONS)


@pytest.mark.parametrize("command", ["backends", "compare"])
def test_a_command_that_loads_all_libraries_does_too(start, folder, command, totals, two_at_a_time):
    arguments = {"backends": ["backends"], "compare": ["compare", "--data-dir", folder]}[command]
    combinations = [{"stdout": CLOSED}, {"stdout": UNREAD}]
    if command == "compare":  # which alone prints on standard error
        combinations.append({"stderr": UNREAD})

    def check(faults):
        code, out, err = run(start, arguments, faults)
        assert code == int(UNREAD in faults.values())
        assert "Traceback" not in out + err

    two_at_a_time(check, combinations)
    totals["broken streams"] += len(combinations)


@pytest.mark.parametrize(
    "output",
    [
        "train --save",
        "train --json",
        "evaluate --json",
        "predict --json",
        "explain --json",
        "explain --html",
    ],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    start, folder, model, tmp_path, output, totals, two_at_a_time
):
    """The limit on the size of a file stands for the disk: writing fails at any byte."""
    command, flag = output.split()
    if flag == "--html":
        import_or_skip("jinja2")
    arguments = {
        "train": ["train", "--data-dir", folder, "--hidden", 2, "--iterations", 100, "--quiet"],
        "evaluate": ["evaluate", "--model", model, "--data-dir", folder],
        "predict": ["predict", "--model", model, folder / "t10k-images-idx3-ubyte"],
        "explain": ["explain", "--quick", "--model", model, "--data-dir", folder],
    }[command]
    path = tmp_path / "whole"
    process = start(*arguments, flag, path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    blocks = path.stat().st_size // 512

    def fill(limit):
        path = tmp_path / str(limit) / "file"
        path.parent.mkdir()
        path.write_bytes(b"old")
        process = start(*arguments, flag, path, through=["sh", "-c", f'ulimit -f {limit} && exec "$@"', "sh"])
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
        assert err.splitlines()[-1].startswith(f"ssnn {command}: error: {path} cannot be written (")
        assert "Traceback" not in err
        assert path.read_bytes() == b"old"
        assert list(path.parent.iterdir()) == [path]

    random = Random(output)
    limits = {0, blocks, random.randint(0, blocks), random.randint(0, blocks)}
    two_at_a_time(fill, limits)
    totals["full disks"] += len(limits)


def test_a_pipe_closed_in_the_middle_ends_predict_early(start, model, tmp_path, totals):
    """As `| head -3` does; without an end the program would go through all images."""
    (tmp_path / "many").write_bytes(idx_bytes(np.zeros((200_000, SIDE, SIDE), np.uint8)))
    process = start("predict", "--model", model, tmp_path / "many")
    lines = [process.stdout.readline() for _ in range(3)]
    process.stdout.close()
    totals["broken streams"] += 1
    assert process.wait(timeout=60) == 1
    assert all(lines)
    assert process.stderr.read() == ""


OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("is_heard", [True, False], ids=["hang-up heard", "nohup"])
def test_a_terminal_that_closes_takes_nothing(start, folder, tmp_path, is_heard, totals, two_at_a_time):
    """The system sends the hang-up, and the streams lead nowhere."""
    iterations = 10**7 if is_heard else 6000
    hearing = "" if is_heard else 'trap "" HUP; '

    def close(moment):
        path = tmp_path / f"model {moment}"
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        process = start(
            *("train", "--data-dir", folder, "--iterations", iterations, "--save", path),
            through=[sys.executable, "-c", OWN_TERMINAL, "sh", "-c", f'{hearing}exec "$@"', "sh"],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            start_new_session=True,
        )
        os.close(theirs)
        seen = b""
        while b"iterations" not in seen:  # the bar is drawn once the run can be stopped
            seen += os.read(ours, 1000)
        time.sleep(moment)
        with suppress(BlockingIOError):
            os.set_blocking(ours, False)
            os.read(ours, 1 << 16)
        os.close(ours)
        assert process.wait(timeout=60) == (129 if is_heard else 1)
        costs = ssnn.load_model(path).costs
        assert 0 < len(costs) < iterations if is_heard else len(costs) == iterations

    random = Random(0)
    moments = [random.uniform(0, 0.5) for _ in range(4)]
    two_at_a_time(close, moments)
    totals["closed terminals"] += len(moments)
