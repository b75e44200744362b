"""How long whole programs take, as processes: ours, and the article's on the same files."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import article
from ssnn.data import data_directory
from ssnn.data.idx import IMAGES_MAGIC, LABELS_MAGIC
from ssnn.data.mnist import FILES, cache_folder

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
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True), rounds=5, warmup_rounds=1
    )
    benchmark.extra_info |= {"kind": "startup", "name": name, "data": digits.name}
