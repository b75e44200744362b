"""Pictures of 28x28 pixels to stand in a page: PNG in data URIs, clear where there is nothing."""

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from ssnn.data.pictures import SIZE
from ssnn.explain.records import Pixels, Values

if TYPE_CHECKING:
    from PIL import Image

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)  # Okabe and Ito's, which remain apart for the colour-blind
STEPS = 40  # on either side of 0: a palette is the larger part of a small picture
FULL = 0.99  # the share of the pixels that are no stronger than the full colour
OUTLINED = 96  # grey values: what is brighter lies within the outline


def ink(pixels: Pixels) -> str:
    """Grey values as black ink on nothing, which a page may invert."""
    from PIL import Image

    opacity = Image.fromarray(pixels.reshape(SIZE, SIZE))
    return _uri(Image.merge("LA", (Image.new("L", opacity.size), opacity)))


def diverging(values: Values, scale: float) -> str:
    """Values (784,) from -scale, blue, over 0, nothing, to scale, orange; what is beyond looks like the end."""
    from PIL import Image

    steps = np.rint(STEPS * np.clip(values / (scale or 1), -1, 1)).astype(np.intp)
    shade = np.arange(-STEPS, STEPS + 1)
    colours = np.where(shade[:, None] < 0, BLUE, ORANGE).astype(np.uint8)
    opacity = np.rint(255 / STEPS * np.abs(shade)).astype(np.uint8)
    image = Image.fromarray((steps + STEPS).astype(np.uint8).reshape(SIZE, SIZE))
    image.putpalette(colours.tobytes())
    return _uri(image, transparency=opacity.tobytes())


def sequential(values: Values, scale: float) -> str:
    """Values (784,) from 0, nothing, to scale, black ink."""
    return ink(np.rint(255 * np.clip(values / (scale or 1), 0, 1)).astype(np.uint8))


def scale_of(values: Values) -> float:
    """Which value, up or down, has the full colour: all but a few are below, so that these do not make them pale."""
    return float(np.quantile(np.abs(values), FULL))


def outline(pixels: Pixels) -> str:
    """The edge of the ink, as the path of an SVG with one unit per pixel."""
    bright = np.pad(pixels.reshape(SIZE, SIZE) > OUTLINED, 1)
    across = np.argwhere(bright[1:, 1:-1] != bright[:-1, 1:-1])  # pixels that differ from the one above them
    down = np.argwhere(bright[1:-1, 1:] != bright[1:-1, :-1])
    return "".join([f"M{x} {y}h1" for y, x in across] + [f"M{x} {y}v1" for y, x in down])


def _uri(image: "Image.Image", **options: bytes) -> str:
    content = io.BytesIO()
    image.save(content, format="png", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
