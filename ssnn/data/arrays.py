"""A data set of arrays that a program has in memory already."""

from collections.abc import Sequence
from typing import Any

from ssnn.data.dataset import Dataset, Samples, host_array, image_rows, samples_of, two_digits
from ssnn.errors import UsageError


def load_arrays(X: Any, y: Any, X_test: Any, y_test: Any, classes: Sequence[int] = (0, 1)) -> Dataset:
    """Make a data set of the images of two digits; images of other digits are left out.

    Parameters
    ----------
    X, X_test : uint8 array (m, 28, 28) or (m, 784)
        Images for training and for testing, of any array library: grey values 0 (black) … 255 (ink).
    y, y_test : array (m,) of numbers
        The digit of each image.
    classes : (int, int)
        Which digits are class 0 and class 1.

    Returns
    -------
    Dataset
        Of the name "arrays".

    Raises
    ------
    UsageError
        If the images have another shape or dtype, there is not one number per image, or the classes are not two
        different digits 0 … 9.
    DataError
        If there is no image of one of the classes.
    """
    try:
        digits = two_digits(classes)
    except UsageError:
        raise UsageError(
            f"classes {classes!r}: two different digits 0 … 9 are needed, as a model file keeps them; "
            "for others, y == b and y_test == b are labels of the classes (0, 1)"
        ) from None
    train, test = _samples(X, y, digits, ("X", "y")), _samples(X_test, y_test, digits, ("X_test", "y_test"))
    return Dataset("arrays", "arrays in memory", digits, train, test, 0.0)


def _samples(images: Any, labels: Any, digits: tuple[int, int], names: tuple[str, str]) -> Samples:
    try:
        pixels = image_rows(images)
    except UsageError as error:
        raise UsageError(f"{names[0]}: {error}") from None
    values = host_array(labels, names[1])
    if values.dtype.kind not in "buif":
        raise UsageError(f"{names[1]} of {values.dtype}: numbers are needed; {names[1]}.astype(int) makes them of text")
    if values.shape != (len(pixels),):
        raise UsageError(f"{names[1]} {values.shape}: ({len(pixels)},) is needed, one label for each of {names[0]}")
    return samples_of(pixels, values, digits, names[1])
