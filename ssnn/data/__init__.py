"""Handwritten digits as uint8 pixels on the host: MNIST's files, digits drawn by the program, and pictures."""

from ssnn.data.dataset import Dataset, Samples
from ssnn.data.loading import MNIST_COUNTS, load_data, with_samples

__all__ = ["MNIST_COUNTS", "Dataset", "Samples", "load_data", "with_samples"]
