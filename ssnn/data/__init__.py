"""Handwritten digits as uint8 pixels on the host: files of MNIST's format, drawn digits, and pictures."""

from ssnn.data.arrays import load_arrays
from ssnn.data.dataset import Dataset, Samples
from ssnn.data.loading import (
    MNIST_COUNTS,
    SOURCES,
    data_directory,
    data_files,
    load_data,
    load_with_notices,
    with_samples,
)

__all__ = [
    "MNIST_COUNTS",
    "SOURCES",
    "Dataset",
    "Samples",
    "data_directory",
    "data_files",
    "load_arrays",
    "load_data",
    "load_with_notices",
    "with_samples",
]
