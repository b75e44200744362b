"""array-api-strict: the standard and nothing else, as a proof that the formulas need no more."""

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from ssnn.backends.accumulation import Accumulation, even_size
from ssnn.backends.base import plain
from ssnn.backends.numpy import NumpyBackend
from ssnn.typing import Array

MAX_MICROBATCH = 6400  # samples in a microbatch: its wrappers cost more than what caches save


class StrictBackend(NumpyBackend):
    """array-api-strict, which wraps NumPy and so shares its threads and its way back to the host."""

    name = "strict"
    library = "array_api_strict"

    @classmethod
    def install_command(cls) -> str:
        return "python -m pip install array-api-strict"

    def accumulation(self, samples: int, features: int, weights: int, is_stack: bool = False) -> Accumulation:
        chosen = super().accumulation(samples, features, weights, is_stack)
        return replace(chosen, microbatch_size=even_size(samples, MAX_MICROBATCH, chosen.threads), per_call=1)

    def asarray(self, array: npt.NDArray[Any]) -> Array:
        import array_api_strict

        return array_api_strict.asarray(plain(array))
