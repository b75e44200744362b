"""Small data sets in MNIST's four files, and a stand-in for MNIST itself."""

import gzip
import hashlib
import struct

import numpy as np

from ssnn.data import idx, mnist

LABELS = (0, 1, 2, 0, 1, 9)


def idx_bytes(values):
    """A plain IDX file of a uint8 array."""
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def image_file(count=6, rows=28, columns=28, magic=idx.IMAGES_MAGIC):
    pixels = np.random.RandomState(0).randint(0, 256, count * rows * columns).astype(np.uint8)
    return struct.pack(">4I", magic, count, rows, columns) + pixels.tobytes()


def label_file(labels=LABELS, magic=idx.LABELS_MAGIC):
    return struct.pack(">2I", magic, len(labels)) + bytes(labels)


def make_mnist(folder, monkeypatch):
    """Write four small files, and let them be what is known as MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    for name, content in zip(
        mnist.FILES, (image_file(), label_file(), image_file(3), label_file((1, 0, 5))), strict=True
    ):
        packed = gzip.compress(content, mtime=0)
        (folder / name).write_bytes(packed)
        sums = [hashlib.sha256(each).hexdigest() for each in (packed, content)]
        known[name] = mnist.MnistFile(len(packed), *sums)
    monkeypatch.setattr(mnist, "FILES", known)
