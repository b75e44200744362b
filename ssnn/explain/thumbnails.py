"""Pictures of 28x28 pixels for a page: PNG in data URIs, transparent where there is nothing."""

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from ssnn.data.dataset import SIDE
from ssnn.explain.records import Pixels, Values

if TYPE_CHECKING:
    from PIL import Image

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)  # Okabe and Ito's, which the colour-blind can distinguish
COLOUR_STEPS = 40  # on either side of 0: a palette is the larger part of a small picture
FULL_COLOUR_QUANTILE = 0.99  # of the absolute values: this one and all above have the full colour
OUTLINE_THRESHOLD = 96  # grey value above which a pixel lies within the outline


def ink(pixels: Pixels) -> str:
    """Grey values as black ink on a transparent ground, which a page may invert."""
    from PIL import Image

    opacity = Image.fromarray(pixels.reshape(SIDE, SIDE))
    return _uri(Image.merge("LA", (Image.new("L", opacity.size), opacity)))


def diverging(values: Values, scale: float) -> str:
    """Values (784,) from -scale, blue, over 0, transparent, to scale, orange; clipped beyond."""
    from PIL import Image

    steps = np.rint(COLOUR_STEPS * np.clip(values / (scale or 1), -1, 1)).astype(np.intp)
    shade = np.arange(-COLOUR_STEPS, COLOUR_STEPS + 1)
    colours = np.where(shade[:, None] < 0, BLUE, ORANGE).astype(np.uint8)
    opacity = np.rint(255 / COLOUR_STEPS * np.abs(shade)).astype(np.uint8)
    image = Image.fromarray((steps + COLOUR_STEPS).astype(np.uint8).reshape(SIDE, SIDE))
    image.putpalette(colours.tobytes())
    return _uri(image, transparency=opacity.tobytes())


def sequential(values: Values, scale: float) -> str:
    """Values (784,) from 0, transparent, to scale, black; clipped beyond."""
    return ink(np.rint(255 * np.clip(values / (scale or 1), 0, 1)).astype(np.uint8))


def scale_of(values: Values) -> float:
    """The absolute value that gets the full colour: a quantile, so that a few outliers do not make all others pale."""
    return float(np.quantile(np.abs(values), FULL_COLOUR_QUANTILE))


def outline(pixels: Pixels) -> str:
    """The edge of the ink, as the path of an SVG with one unit per pixel."""
    bright = np.pad(pixels.reshape(SIDE, SIDE) > OUTLINE_THRESHOLD, 1)
    across = np.argwhere(bright[1:, 1:-1] != bright[:-1, 1:-1])  # pixels that differ from the one above them
    down = np.argwhere(bright[1:-1, 1:] != bright[1:-1, :-1])
    return "".join([f"M{x} {y}h1" for y, x in across] + [f"M{x} {y}v1" for y, x in down])


def _uri(image: "Image.Image", **options: bytes) -> str:
    content = io.BytesIO()
    image.save(content, format="png", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
