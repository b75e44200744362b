"""Images of two digits in the memory of the host, as uint8 pixels: checked, and made plain, where they come in."""

import hashlib
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.errors import DataError, UsageError
from ssnn.printable import printable

SIDE = 28  # pixels: an image is square
MAX_NAME = 100  # characters of a data set's name
TO_GREY_VALUES = {  # by the kind of dtype that images have
    "f": "np.rint(255 * images).astype(np.uint8) makes them of 0 … 1",
    "b": "np.uint8(255) * images makes them",
    "i": "images.astype(np.uint8) makes them of whole numbers 0 … 255",
    "u": "images.astype(np.uint8) makes them of whole numbers 0 … 255",
}


@dataclass(frozen=True, eq=False, repr=False)  # compared by identity: arrays can change, and be larger than memory
class Samples:
    """Images of two classes.

    Pixels and labels may be arrays of any library, in any order of memory, or lists; what is kept are contiguous NumPy
    arrays. An array that is one already, be it memory-mapped, is not copied. Two objects are equal if they are the same
    one; whether two hold the same images, `sha256` says.

    Attributes
    ----------
    pixels : uint8 array (m, 784)
        One image of 28x28 grey values per row, row-major, 0 (black) … 255 (ink). Images (m, 28, 28) are made rows.
    labels : uint8 array (m,)
        The class of each image, 0 or 1. Other integers, booleans and floats are taken if they are 0 and 1.

    Raises
    ------
    UsageError
        If the pixels are not uint8 or have another shape, a label is neither 0 nor 1, or there is not one per image.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", image_rows(self.pixels))
        object.__setattr__(self, "labels", class_labels(self.labels))
        if len(self.labels) != len(self.pixels):
            raise UsageError(f"{len(self.labels):,} labels of {len(self.pixels):,} images: one for each is needed")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        ones = int(np.count_nonzero(self.labels))
        return f"Samples({len(self):,} images: {len(self) - ones:,} of class 0, {ones:,} of class 1)"

    def sha256(self) -> str:
        """The checksum of all pixels and labels, in hexadecimal digits."""
        checksum = hashlib.sha256()
        for part in (self.pixels, self.labels):
            checksum.update(part.data)
        return checksum.hexdigest()


@dataclass(frozen=True, eq=False, repr=False)  # as Samples
class Dataset:
    """Training and test images of two digits.

    Attributes
    ----------
    name : str
        "mnist", "idx" and "synthetic" are what `ssnn.load_data` loads, "arrays" what `ssnn.load_arrays` makes; any
        other short, printable text names one's own.
    origin : str
        Where the images came from, for people to read; made printable. A model file keeps it, so it should not name a
        folder of this machine.
    classes : (int, int)
        The digits that are class 0 and class 1.
    train, test : Samples
    seconds : float
        How long it took to load them.

    Raises
    ------
    UsageError
        If the name is not printable or too long, the classes are not two different digits, or a part is no `Samples`.
    """

    name: str
    origin: str
    classes: tuple[int, int]
    train: Samples
    test: Samples
    seconds: float

    def __post_init__(self) -> None:
        name, seconds = self.name, self.seconds
        if not (isinstance(name, str) and 0 < len(name) <= MAX_NAME and name == printable(name)):
            raise UsageError(f"a data set of the name {name!r}: 1 … {MAX_NAME} printable characters are needed")
        for part in ("train", "test"):
            check_samples(getattr(self, part), part)
        try:
            seconds = float(seconds)
        except (TypeError, ValueError):
            seconds = -1.0
        if not (isfinite(seconds) and seconds >= 0):
            raise UsageError(f"seconds {self.seconds!r}: a number from 0 on is needed")
        plain = {"name": str(name), "origin": printable(self.origin), "classes": two_digits(self.classes)}
        for attribute, value in (plain | {"seconds": seconds}).items():
            object.__setattr__(self, attribute, value)

    def __repr__(self) -> str:
        zero, one = self.classes
        images = f"{len(self.train):,} training and {len(self.test):,} test images"
        return f"Dataset({self.name}, {zero} or {one}: {images})"


def samples_of(images: npt.NDArray[np.uint8], labels: npt.NDArray[Any], digits: tuple[int, int], where: str) -> Samples:
    """The images of two digits, of those that have any.

    Parameters
    ----------
    images : uint8 array (m, 784)
    labels : array (m,)
        The digit of each image.
    digits : (int, int)
    where : str
        What holds the labels, for the error.

    Raises
    ------
    DataError
        If there is no image of one of the digits.
    """
    for digit in digits:
        if digit not in labels:
            raise DataError(f"{where}: no image of a {digit}")
    chosen = np.isin(labels, digits)
    return Samples(images[chosen], labels[chosen] == digits[1])


def check_samples(samples: object, what: str) -> None:
    """Check that this is what is called `Samples`, not arrays or a tuple of them.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not isinstance(samples, Samples):
        raise UsageError(f"{what} is of type {type(samples).__name__}: ssnn.Samples(pixels, labels) is needed")


def check_trainable(dataset: Dataset) -> None:
    """Check that a network can be trained on a data set, and evaluated.

    Raises
    ------
    UsageError
        If it is no `Dataset`.
    DataError
        If there is no training image of one of its digits, or no test image.
    """
    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise UsageError(f"data of type {kind}: ssnn.load_data() or ssnn.Dataset(…) makes a data set to train on")
    ones = int(np.count_nonzero(dataset.train.labels))
    for label, count in enumerate((len(dataset.train) - ones, ones)):
        digit, other = dataset.classes[label], dataset.classes[1 - label]
        if not count:
            found = f"the training images are all {other}s" if len(dataset.train) else "there is no training image"
            raise DataError(f"{found}: images of {digit} and of {other} are needed")
    if not len(dataset.test):
        raise DataError("there is no test image: at least one is needed, to evaluate the network on")


def two_digits(digits: Sequence[int]) -> tuple[int, int]:
    """Class 0 and class 1 as plain numbers.

    Raises
    ------
    UsageError
        If they are not two different digits.
    """
    try:
        zero, one = (int(operator.index(digit)) for digit in digits)
    except (TypeError, ValueError):  # no whole numbers, or not two
        zero = one = -1
    if zero == one or not (0 <= zero <= 9 and 0 <= one <= 9):
        shown = ", ".join(map(str, digits)) if isinstance(digits, Iterable) else digits
        raise UsageError(f"digits {shown}: two different ones of 0 … 9 are needed")
    return zero, one


def image_rows(images: Any) -> npt.NDArray[np.uint8]:
    """Images as rows.

    Parameters
    ----------
    images : uint8 array (m, 784) or (m, 28, 28)
        Of any library.

    Returns
    -------
    uint8 array (m, 784)
        A plain, contiguous NumPy array; the same memory where that is possible.

    Raises
    ------
    UsageError
        If they are not uint8, or have another shape.
    """
    array = host_array(images, "images")
    if array.dtype != np.uint8:
        remedy = TO_GREY_VALUES.get(array.dtype.kind)
        raise UsageError(
            f"images of {array.dtype}: grey values 0 … 255 in a uint8 array are needed{f'; {remedy}' if remedy else ''}"
        )
    if array.shape[1:] not in ((SIDE**2,), (SIDE, SIDE)):
        raise UsageError(f"images {array.shape}: (m, {SIDE}, {SIDE}) or (m, {SIDE**2}) is needed")
    return array.reshape(len(array), SIDE**2)


def class_labels(labels: Any) -> npt.NDArray[np.uint8]:
    """The class of each image.

    Parameters
    ----------
    labels : array (m,)
        Of any library and any real dtype: 0 and 1, or booleans.

    Returns
    -------
    uint8 array (m,)
        A plain, contiguous NumPy array; the same memory where that is possible.

    Raises
    ------
    UsageError
        If a label is neither 0 nor 1, or the shape is another.
    """
    array = host_array(labels, "labels")
    if array.dtype.kind not in "buif":
        raise UsageError(f"labels of {array.dtype}: the numbers 0 and 1 are needed, one for each image")
    if array.ndim != 1:
        raise UsageError(f"labels {array.shape}: (m,) is needed, one for each image")
    if not np.all((array == 0) | (array == 1)):
        found = np.unique(array)
        shown = (" and " if len(found) == 2 else ", ").join(map(str, found[:3])) + ", …" * (len(found) > 3)
        remedy = f", for instance labels == {found[1]}" if len(found) == 2 and not np.isnan(found).any() else ""
        raise UsageError(f"labels {shown}: class 0 and class 1 are needed{remedy}")
    return array.astype(np.uint8, copy=False)


def host_array(values: Any, what: str) -> npt.NDArray[Any]:
    """An array of any library, or nested sequences, as a plain NumPy array in C order.

    Only so does it not depend on the user's array how something is computed. What is one already is not copied, nor is
    a memory-mapped one.

    Parameters
    ----------
    values : array-like
    what : str
        What an error calls them, in the plural.

    Raises
    ------
    UsageError
        If they are no array: ragged, or masked, or what their library does not hand out.
    """
    refuse_masked(values, what)
    try:
        return np.asarray(_in_numpy(values), order="C")
    except Exception as error:  # every library has its own ways
        kind, reason = type(values).__name__, str(error) or type(error).__name__
        raise UsageError(f"{what} of type {kind}: no NumPy array can be made of them ({reason})") from None


def refuse_masked(values: Any, what: str) -> None:
    """Refuse a masked array, whose mask NumPy would drop without a word.

    Raises
    ------
    UsageError
        If it is one.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise UsageError(f"{what} are a masked array: {what}.filled(…) says what to take where it is masked")


def _in_numpy(values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError):
        if not hasattr(values, "__dlpack__"):
            raise
    return np.from_dlpack(values, device="cpu")  # of a GPU, from which nothing comes unasked
