"""Nested tuples of arrays, such as a network: apply a function to every array in them, or list them."""

from collections.abc import Callable
from typing import Any

from ssnn.typing import Array, Tree


def tree_map(function: Callable[..., Any], *trees: Tree) -> Tree:
    """Apply a function to the arrays of one tree, or to those in the same place of several trees.

    Returns
    -------
    tree
        Of what the function returned, in the structure of the first tree; named tuples stay named.

    Raises
    ------
    ValueError
        If the trees differ in structure.
    """
    if not isinstance(trees[0], tuple):
        return function(*trees)
    parts = [tree_map(function, *part) for part in zip(*trees, strict=True)]
    return trees[0]._make(parts) if hasattr(trees[0], "_make") else tuple(parts)


def leaves(tree: Tree) -> list[Array]:
    """The arrays of a tree, from left to right."""
    return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, tuple) else [tree]
