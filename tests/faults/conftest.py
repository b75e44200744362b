"""Faults are injected and counted; the totals stand at the end of the output, and in docs/reliability.md."""

import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from idx_files import idx_bytes

import ssnn
from ssnn import data
from ssnn.data.dataset import SIDE
from ssnn.system.signals import ENDINGS

TOTALS = pytest.StashKey[Counter]()


@pytest.fixture
def totals(request) -> Counter:
    """How many faults of which kind were injected."""
    return request.config.stash.setdefault(TOTALS, Counter())


def pytest_terminal_summary(terminalreporter, config):
    for kind, count in sorted(config.stash.get(TOTALS, {}).items()):
        terminalreporter.write_line(f"{count:6,} {kind}")


@pytest.fixture(autouse=True)
def hearing():
    """Processes hear all signals, even where these tests run in the background and are not meant to hear them."""
    ignored = [number for number in ENDINGS if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, few_digits):
    """A folder of four small files, which commands read fast."""
    folder = tmp_path_factory.mktemp("digits")
    for name, part in (("train", few_digits.train), ("t10k", few_digits.test)):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(part.pixels.reshape(-1, SIDE, SIDE)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(part.labels))
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory, folder):
    """A model file."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    digits = data.load_data("idx", folder)
    ssnn.save_model(ssnn.fit(digits, settings=ssnn.Settings(hidden=(2,), iterations=20)), path)
    return path


@pytest.fixture
def start(tmp_path):
    """Start an ssnn command, by way of `through` if that is given; it is killed if the test does not end it."""
    started = []

    def start(*arguments, through=(), python=("-m", "ssnn"), **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        command = [*through, sys.executable, *python, *map(str, arguments)]
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def two_at_a_time():
    """Call a function for each case, two at a time: most of a command's time is its start."""

    def call(function, cases):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(function, cases))

    return call
