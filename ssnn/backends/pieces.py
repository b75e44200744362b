"""A batch in pieces: what each of them gives, added up, by one thread or by several.

Cost and gradients are sums over the samples, so any cut of the batch gives the same network. How long a piece is,
is the backend's to say: short enough for a cache or a fast kernel, long enough to be worth a call.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import reduce
from math import ceil
from typing import Any

from array_api_compat import array_namespace

Array = Any
Gradients = Callable[[Any, Array, Array, Array], tuple[Any, Array]]
Piece = Sequence[Array]  # X, Y and weight
Total = Callable[[Any], tuple[Any, Array]]


def even(length: int, longest: int, multiple: int = 1) -> int:
    """The length of pieces as even as can be: none above `longest`, and a multiple of so many of them."""
    return ceil(length / (ceil(length / longest / multiple) * multiple))


def cut(batch: Sequence[Array], height: int = 1) -> list[Piece]:
    """The pieces of X (p, n0, s), Y and weight: one by one, (n0, s), or so many at a time, (height, n0, s)."""
    pieces = batch[0].shape[0]
    if height == 1:
        return [[array[i, ...] for array in batch] for i in range(pieces)]
    return [[array[i : min(i + height, pieces), ...] for array in batch] for i in range(0, pieces, height)]


@contextmanager
def adding(
    gradients: Gradients,
    pieces: Sequence[Piece],
    threads: int,
    scope: Callable[[], AbstractContextManager[None]],
) -> Iterator[Total]:
    """The function from a network to gradient and cost of all pieces together.

    The calling thread is one of so many, and each computes under `scope`. Each adds up its own pieces, always the
    same ones in the same order: the sum has the same bits however the threads run.
    """
    shares = [share for thread in range(threads) if (share := pieces[thread::threads])]

    def add(network: Any, share: Sequence[Piece]) -> Any:
        with scope():
            return reduce(_sum, (_summed(gradients(network, *piece), piece) for piece in share))

    def total(network: Any) -> Any:
        others = [pool.submit(add, network, share) for share in shares[1:]]
        mine = add(network, shares[0])
        return reduce(_sum, (other.result() for other in others), mine)

    with ThreadPoolExecutor(threads) as pool:
        yield total


def _summed(gradient_and_cost: Any, piece: Piece) -> Any:
    """The sum over pieces that came several at a time."""
    if piece[0].ndim == 2:
        return gradient_and_cost
    xp = array_namespace(gradient_and_cost[1])
    return _each(lambda array: xp.sum(array, axis=0), gradient_and_cost)


def _sum(one: Any, other: Any) -> Any:
    return _each(lambda a, b: a + b, one, other)


def _each(function: Callable[..., Array], *trees: Any) -> Any:
    """Apply a function to every array in nested tuples of one structure."""
    if not isinstance(trees[0], tuple):
        return function(*trees)
    parts = [_each(function, *part) for part in zip(*trees, strict=True)]
    return trees[0]._make(parts) if hasattr(trees[0], "_make") else tuple(parts)
