"""Rows in blocks of equal length."""

from typing import Any

import numpy as np
import numpy.typing as npt


def pad_rows(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """The values (m, ...) padded with zeros to this length."""
    missing = length - len(values)
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)]) if missing else values
