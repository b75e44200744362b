"""How long whole programs take, as processes: ours, and the article's and other libraries' on the same files."""

import gzip
import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import article
from benchmarks.peers import KerasPeer, OptaxPeer, SklearnPeer, TorchPeer
from ssnn.backends import BUILT_IN
from ssnn.data import data_directory
from ssnn.data.idx import IMAGES_MAGIC, LABELS_MAGIC
from ssnn.data.mnist import FILES, cache_folder

ROOT = Path(__file__).parents[1]
MAX_WRONG = 4  # of MNIST's test images, after one epoch
PROGRAMS = {
    "import ssnn": ["-c", "import ssnn"],
    "ssnn.train --iterations 1": ["-m", "ssnn.train", "--quiet", "--iterations", "1", "--data-dir"],
    "ssnn.train": ["-m", "ssnn.train", "--quiet", "--data-dir"],
    "article": [article.__file__],
}


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory) -> str:
    """The digits as four files: MNIST's own, or the synthetic ones written like them."""
    for place in (data_directory(), cache_folder()):
        if digits.name == "mnist" and place is not None and all((place / name).exists() for name in FILES):
            return str(place)
    written = tmp_path_factory.mktemp("digits")
    for part, (images, labels) in ((digits.train, [*FILES][:2]), (digits.test, [*FILES][2:])):
        write_idx(written / images, IMAGES_MAGIC, part.pixels.reshape(-1, 28, 28))
        write_idx(written / labels, LABELS_MAGIC, part.labels)
    return str(written)


def write_idx(path: Path, magic: int, values: np.ndarray) -> None:
    path.write_bytes(gzip.compress(struct.pack(f">{1 + values.ndim}I", magic, *values.shape) + values.tobytes(), 6))


@pytest.mark.parametrize("name", PROGRAMS)
def test_startup(name, benchmark, digits, folder):
    arguments = PROGRAMS[name] if name == "import ssnn" else [*PROGRAMS[name], folder]
    benchmark.group = (
        f"whole processes, {digits.name}" if name in ("ssnn.train", "article") else f"{name}, {digits.name}"
    )
    benchmark.pedantic(lambda: run(arguments), rounds=5, warmup_rounds=1)
    benchmark.extra_info |= {"kind": "startup", "name": name, "data": digits.name}


@pytest.mark.parametrize("name", BUILT_IN)
def test_dolphin(name, benchmark, digits, folder, open_or_skip):
    open_or_skip(name, "float64")
    arguments = ["-m", "ssnn.train", "--preset", "dolphin", "--backend", name, "--quiet", "--data-dir", folder]
    time_dolphin(benchmark, f"ssnn {name}", arguments, digits)


@pytest.mark.parametrize("peer_class", [SklearnPeer, TorchPeer, KerasPeer, OptaxPeer])
def test_dolphin_in_another_library(peer_class, benchmark, digits, folder):
    if not importlib.util.find_spec(peer_class.library):
        pytest.skip(f"{peer_class.library} is not installed")
    time_dolphin(benchmark, peer_class.name, ["-m", "benchmarks.dolphin", peer_class.library, folder], digits)


def time_dolphin(benchmark, name, arguments, digits):
    """Time a process that does one pass in mini-batches with Adam, and count the test images that are still wrong."""
    benchmark.group = f"whole processes, one epoch, {digits.name}"
    done = benchmark.pedantic(lambda: run(arguments), rounds=5, warmup_rounds=1)
    wrong = done.stdout.count("failed to recognize:")
    assert digits.name != "mnist" or wrong <= MAX_WRONG
    benchmark.extra_info |= {
        "kind": "epoch process",
        "name": name,
        "data": digits.name,
        "wrong": wrong,
        "test_images": len(digits.test),
    }


def run(arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
