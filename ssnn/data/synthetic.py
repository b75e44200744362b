"""Digits 0 and 1 drawn by the program, so that it runs and is tested with neither a file nor a download.

A digit is a curve along t that the hand slants and bends, x = u + slant·v + bend·(v² - ½):

    0    u = r·sin θ·width·(1 + taper·v)   v = -r·cos θ   r = 1 + spiral·t   θ = 4·(arctan t + arctan turn)
    1    u = 0                             v = t

From t = -1 to 1 a 0 goes once round from its top; one that stops early stays open, one that goes on overlaps
its start. As in MNIST, size is the side of the box that the digit fits. The pen leaves a row of round dots.

The same seed gives the same bits on every machine and NumPy version: the random numbers are the uniform ones
of the legacy generator, whose stream is frozen, and the arithmetic is elementwise + - * / and sqrt, which
IEEE 754 rounds exactly. A sine, a power or a floating-point sum may differ in its last bits between machines.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ssnn.data.dataset import SIDE

Floats = npt.NDArray[np.float32]
Bounds = dict[str, tuple[float, float]]

EDGE = 1.25  # pixels over which ink turns into paper
CHUNK = 256  # images drawn at once: their temporaries stay in the cache
T = np.linspace(-1, 1, 97, dtype=np.float32)[:, np.newaxis]  # one dot each, about a pixel apart
PIXEL = np.arange(SIDE, dtype=np.float32)[:, np.newaxis]

HAND: Bounds = {
    "slant": (-0.6, 1.1),
    "bend": (-0.3, 0.3),
    "size": (18.5, 20.5),  # pixels, as the next three
    "thickness": (0.8, 5.8),
    "row": (12.5, 15.5),
    "column": (12.5, 15.5),
}
LOOP: Bounds = {
    "width": (0.3, 1.15),  # of the height
    "taper": (-0.4, 0.4),
    "spiral": (-0.25, 0.25),
    "turn": (-0.4, 0.4),
    "length": (0.75, 1.2),  # the largest t
}


def draw(zeros: int, ones: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw digits, in an order shuffled by the seed.

    Parameters
    ----------
    zeros, ones : int
        How many of each; m is their sum.
    seed : int
        0 ≤ seed < 2**32.

    Returns
    -------
    images : uint8 array (m, 784)
        One image of 28 by 28 pixels per row, in row-major order, from 0 (black) to 255 (ink).
    labels : uint8 array (m,)
        The digits, 0 or 1.
    """
    generator = np.random.RandomState(seed)
    order = generator.permutation(zeros + ones)
    images = np.empty((zeros + ones, SIDE * SIDE), np.uint8)
    labels = np.empty(zeros + ones, np.uint8)
    for digit, curve, bounds, places in (
        (0, _zero, HAND | LOOP, order[:zeros]),
        (1, _one, HAND, order[zeros:]),
    ):
        labels[places] = digit
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            images[chunk] = _write(curve, **_vary(bounds, len(chunk), generator))
    return images, labels


def _vary(bounds: Bounds, m: int, generator: np.random.RandomState) -> dict[str, Floats]:
    """Choose m values (m,) of each parameter; the middle between its bounds is the commonest."""
    low, high = np.array(list(bounds.values()), np.float32).T
    uniform = generator.random_sample((m, 2, len(bounds))).astype(np.float32)
    values = low + (high - low) * (uniform[:, 0] + uniform[:, 1]) / 2
    return dict(zip(bounds, values.T, strict=True))


def _zero(width: Floats, taper: Floats, spiral: Floats, turn: Floats, length: Floats) -> tuple[Floats, Floats]:
    """Points u, v (97, m) of the loops."""
    t = length * T
    cosine, sine = 1 - turn * t, turn + t  # of arctan t + arctan turn, but for a common factor
    norm = np.sqrt(cosine * cosine + sine * sine)
    cosine, sine = cosine / norm, sine / norm
    for _ in range(2):
        cosine, sine = cosine * cosine - sine * sine, 2 * sine * cosine  # of twice the angle
    r = 1 + spiral * t
    u, v = r * sine, -r * cosine
    return u * width * (1 + taper * v), v


def _one() -> tuple[Floats, Floats]:
    """Points u, v (97, 1) of the line that all ones share."""
    return np.zeros_like(T), T


def _write(
    curve: Callable[..., tuple[Floats, Floats]],
    slant: Floats,
    bend: Floats,
    size: Floats,
    thickness: Floats,
    row: Floats,
    column: Floats,
    **shape: Floats,
) -> Floats:
    """Ink (m, 784), whole numbers from 0 to 255, of m digits."""
    u, v = curve(**shape)
    x = u + slant * v + bend * (v * v - 0.5)
    scale = (size - thickness) / np.maximum(np.ptp(x, axis=0), np.ptp(v, axis=0))
    squared_distance = np.full((SIDE, SIDE, len(scale)), np.inf, np.float32)  # to the nearest dot
    for dot_row, dot_column in zip(row - scale * v, column + scale * x, strict=True):
        down, across = PIXEL - dot_row, PIXEL - dot_column
        to_dot = (down * down)[:, np.newaxis] + across * across
        np.minimum(squared_distance, to_dot, out=squared_distance)
    ink = np.clip((thickness / 2 - np.sqrt(squared_distance)) / EDGE + 0.5, 0, 1)
    return np.rint(255 * ink).reshape(SIDE * SIDE, -1).T
