"""A trained network as JSON for the JavaScript of the page."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from ssnn.data import pictures
from ssnn.data.dataset import SIDE
from ssnn.explain import thumbnails
from ssnn.model.model import Model
from ssnn.model.novelty import GREY_LEVELS

MAX_PARAMETER_BYTES = 2_500_000  # with these a page stays below 5 MB


def fits(model: Model) -> bool:
    """Whether the network is small enough to be embedded in a page."""
    size: int = sum(parameters.nbytes for layer in model.network for parameters in layer)
    return size <= MAX_PARAMETER_BYTES


def network(model: Model) -> dict[str, Any]:
    """What prediction, attribution and novelty score need, in the dtype of the model, and how to draw them."""
    standardization, novelty = model.standardization, model.novelty
    return {
        "digits": model.data.digits,
        "features": standardization.features.tolist(),
        "mean": array(standardization.mean.astype(model.dtype)),
        "std": array(standardization.std.astype(model.dtype)),
        "layers": [{"W": array(layer.W), "b": array(layer.b)} for layer in model.network],
        "novelty": {
            "greyLevels": GREY_LEVELS,
            "mean": array(novelty.mean),
            "components": array(novelty.components),
            "limit": array(novelty.limit),
        },
        "colours": {"blue": thumbnails.BLUE, "orange": thumbnails.ORANGE},
        "fullColourQuantile": thumbnails.FULL_COLOUR_QUANTILE,
        "outlineThreshold": thumbnails.OUTLINE_THRESHOLD,
        "form": {"size": SIDE, "box": pictures.BOX, "centre": pictures.CENTRE, "edge": pictures.EDGE},
    }


def array(values: npt.NDArray[Any]) -> dict[str, Any]:
    """A floating-point array: shape, bytes per number, and the numbers in C order, little-endian, in base64."""
    size = values.dtype.itemsize
    return {"shape": values.shape, "bytes": size, "base64": encoded(values.astype(f"<f{size}"))}


def encoded(values: npt.NDArray[Any]) -> str:
    """The bytes of an array in base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
