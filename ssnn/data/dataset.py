"""Images of two digits in the memory of the host, as uint8 pixels."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SIDE = 28  # pixels: an image is square


@dataclass(frozen=True)
class Samples:
    """Images of two classes.

    Attributes
    ----------
    pixels : uint8 array (m, 784)
        One image of 28x28 grey values per row, row-major, 0 (black) … 255 (ink).
    labels : uint8 array (m,)
        The class of each image, 0 or 1.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def sha256(self) -> str:
        """The checksum of all pixels and labels, in hexadecimal digits."""
        checksum = hashlib.sha256()
        for part in (self.pixels, self.labels):
            checksum.update(np.ascontiguousarray(part).data)
        return checksum.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Training and test images of two digits.

    Attributes
    ----------
    name : {"mnist", "synthetic"}
    origin : str
        Where the images came from, and why not from MNIST if they did not, for people to read.
    classes : (int, int)
        The digits that are class 0 and class 1.
    train, test : Samples
    seconds : float
        How long it took to load them.
    """

    name: str
    origin: str
    classes: tuple[int, int]
    train: Samples
    test: Samples
    seconds: float
