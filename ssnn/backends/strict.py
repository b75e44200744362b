"""array-api-strict: the standard and nothing else, as a proof that the formulas need no more."""

from typing import Any

import numpy.typing as npt

from ssnn.backends.numpy import NumpyBackend
from ssnn.typing import Array


class StrictBackend(NumpyBackend):
    """array-api-strict, which wraps NumPy and so shares its threads and its way back to the host."""

    name = "strict"
    library = "array_api_strict"

    @classmethod
    def install_command(cls) -> str:
        return "python -m pip install array-api-strict"

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import array_api_strict

        return array_api_strict.asarray(array)
