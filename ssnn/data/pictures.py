"""Ordinary pictures of a digit, brought into MNIST's form: 28x28 grey values, bright ink on black.

It is made as MNIST was: the digit is cropped, fitted into a box of 20x20 with its aspect ratio kept, and placed
with its centre of mass in the middle of the field. Before that the ground is taken away, be it white paper in
uneven light, a black screen or nothing at all where the picture is transparent.
"""

import warnings
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import SIDE
from ssnn.data.reading import content_file
from ssnn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # for others Pillow may start programs, as for EPS
MAX_PIXELS = 20_000_000  # of a picture in memory, which takes up to 20 bytes for each
BOX = 20  # the longer side of every digit in MNIST
CENTRE = 14  # of mass, as a pixel's index: MNIST's lie 13.5 … 14.5, on average at 14.0, placed by whole pixels
WORKING_SIDE = 512  # pixels; a larger picture is averaged down to it, ample for the box and good against noise
FITTED = 5000  # pixels that determine the ground's few coefficients well enough
CONTRAST = 16  # grey values: what differs less from the ground is not ink
NOISE = 5  # the same in standard deviations of the ground's noise
EDGE = 1 / 4  # of full ink: what is fainter is blur around a stroke. So the sizes of MNIST's digits come out again
SPECK = 1 / 20  # of the ink in the largest stroke: a piece that has less is dirt


def read(path: str | Path, normalize: bool = True, content: bytes | None = None) -> npt.NDArray[np.uint8]:
    """Read a picture of one digit in one of the common formats; of an animation, its first frame.

    Parameters
    ----------
    path : path
    normalize : bool
        Whether to bring the picture into MNIST's form. Otherwise it must have it, and is only turned grey.
    content : bytes, optional
        Of the file, where it is in memory already; the path is then only its name.

    Returns
    -------
    uint8 array (784,)
        Grey values in row-major order, 0 (black) … 255 (ink).

    Raises
    ------
    DataError
        If the file cannot be read, is no whole picture of a format in `FORMATS` or one of more than `MAX_PIXELS` that
        cannot be scaled down while it is decoded, or is not 28x28 where it has to be.
    """
    from PIL import Image, UnidentifiedImageError

    with content_file(Path(path), content) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata and the like: what matters, fails
        try:
            with Image.open(file, formats=FORMATS) as image:
                _scale_in_decoder(image)
                if prod(image.size) > MAX_PIXELS:
                    raise Image.DecompressionBombError
                grey = _grey(image)
        except UnidentifiedImageError:
            raise DataError(f"{path}: not a picture in a format that is read: {', '.join(FORMATS)}") from None
        except Image.DecompressionBombError:
            raise DataError(f"{path}: more than {MAX_PIXELS:,} pixels; scale it down") from None
        except Exception as error:  # decoders raise whatever damaged data makes them stumble over
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DataError(f"{path}: cannot be read ({reason})") from None
    if normalize:
        return normalized(grey)
    if grey.shape != (SIDE, SIDE):
        height, width = grey.shape
        raise DataError(f"{path}: {width}x{height} pixels, not {SIDE}x{SIDE}; leave out --no-normalize")
    return np.asarray(np.rint(grey), np.uint8).ravel()


def normalized(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bring a grey picture into MNIST's form.

    Parameters
    ----------
    grey : array (height, width)
        Of real numbers 0 … 255, at least one; the ink may be brighter or darker than the ground.

    Returns
    -------
    uint8 array (784,)
        Row-major, 0 (ground) … 255 (ink); all 0 if there is no ink.
    """
    ink = _ink(_shrunk(grey))
    field = np.zeros((SIDE, SIDE), np.uint8)
    if ink.any():
        digit = _fitted(ink)
        row, column = (_start(digit.sum(axis=axis)) for axis in (1, 0))
        height, width = digit.shape
        field[row : row + height, column : column + width] = np.rint(digit * (255 / digit.max()))
    return field.ravel()


def _scale_in_decoder(image: "Image.Image") -> None:
    """Have a picture of more than `MAX_PIXELS` scaled down where its decoder can, which is JPEG's.

    Of a progressive JPEG the decoder would hold the whole all the same.
    """
    width, height = image.size
    scale = next((scale for scale in (1, 2, 4) if -(-width // scale) * -(-height // scale) <= MAX_PIXELS), 8)
    if scale > 1 and not image.info.get("progressive"):
        image.draft(None, (width // scale, height // scale))


def _grey(image: "Image.Image") -> npt.NDArray[Any]:
    """Grey values (height, width) 0 … 255 of an opened picture, the right way up."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # more than 8 bits: then the picture's own range defines white
        deep = np.array(image, np.float64)
        low, high = deep.min(), deep.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("it holds values that are not finite")
        deep -= low  # in place, for it is large
        deep *= 255
        deep /= high - low or 1
        return deep
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    image = image.convert("RGBA")
    on_white, on_black = (
        np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("L"))
        for ground in ("white", "black")
    )
    return on_white if np.ptp(on_white) > CONTRAST else on_black  # white ink does not show on white


def _shrunk(grey: npt.NDArray[Any]) -> Floats:
    """The picture in floats, averaged over squares of pixels if it is large."""
    from PIL import Image

    image = Image.fromarray(np.asarray(grey, np.float32))
    return np.asarray(image.reduce(max(1, -(-max(grey.shape) // WORKING_SIDE))))


def _ink(grey: Floats) -> Floats:
    """What stands out from the ground (height, width): 0 where there is no stroke, 1 where there is full ink."""
    difference, noise = _difference(grey)
    floor = max(CONTRAST, NOISE * noise)
    above = difference[difference > floor]
    if not above.size:
        return np.zeros_like(grey)
    mean = np.sum(above**2) / np.sum(above)  # each pixel counts by its ink, so faint edges count little
    full = float(np.median(above[above > mean / 2]))
    strokes = _without_specks(np.where(difference > max(floor, EDGE * full), difference, 0))
    return np.asarray(np.minimum(strokes / full, 1), np.float32)


def _difference(grey: Floats) -> tuple[Floats, float]:
    """By how much each pixel differs from the ground, ink positive, and the standard deviation of the ground.

    Paper in uneven light is a bent surface. A plane through the picture's frame, where there is the least ink,
    finds out roughly which pixels are ground; through all of those goes the surface.
    """
    height, width = grey.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    plane = np.stack([np.ones_like(x), x, y], axis=-1)
    thickness = max(1, min(height, width) // 32)
    frame = np.ones(grey.shape, bool)
    frame[thickness:-thickness, thickness:-thickness] = False
    rough = np.abs(grey - plane @ _fit(plane[frame], grey[frame]))
    ground = rough <= (rough.min() + rough.max()) / 2
    surface = np.concatenate([plane, np.stack([x * x, x * y, y * y], axis=-1)], axis=-1)
    difference = (grey - surface @ _fit(surface[ground], grey[ground])).astype(np.float32)
    noise = 1.4826 * float(np.median(np.abs(difference[ground])))
    return (difference if np.sum(difference**3) > 0 else -difference), noise


def _fit(terms: Doubles, values: Floats) -> Doubles:
    """Coefficients of least absolute deviations, which the half of the values that fits best decides."""
    some = slice(None, None, max(1, len(values) // FITTED))
    A, b = terms[some], values[some]
    weight = np.ones(len(b))
    for _ in range(20):  # least squares, reweighted until they are least absolute values
        weighted = A.T * weight
        coefficients = np.linalg.lstsq(weighted @ A, weighted @ b)[0]
        weight = 1 / np.maximum(np.abs(b - A @ coefficients), 1e-3)
    return np.asarray(coefficients)


def _without_specks(ink: Floats) -> Floats:
    """The ink without those of its connected pieces that are too small to be strokes."""
    piece = np.where(ink > 0, np.arange(1, ink.size + 1).reshape(ink.shape), 0)
    while True:  # each pixel takes the largest number among its neighbours, then the one at the place it names
        padded = np.pad(piece, 1)
        rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        largest = np.where(ink > 0, np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]), 0)
        followed = np.append(0, largest)[largest]
        if np.array_equal(followed, piece):
            break
        piece = followed
    mass = np.bincount(piece.ravel(), ink.ravel())
    return np.where(mass[piece] >= SPECK * mass.max(), ink, 0)


def _fitted(ink: Floats) -> Floats:
    """The ink cropped, and resized so that its longer side fills the box."""
    from PIL import Image

    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BOX * side / max(cropped.shape))) for side in cropped.shape)
    # Hamming's window averages over all pixels, stays sharper than a triangle and has no negative lobes.
    return np.asarray(Image.fromarray(cropped).resize((width, height), Image.Resampling.HAMMING))


def _start(profile: Floats) -> int:
    """Where ink of this profile along an axis has to start to be centred, or as near to it as the field allows."""
    centre = float(profile @ np.arange(len(profile)) / profile.sum())
    return min(max(0, round(CENTRE - centre)), SIDE - len(profile))
