"""The distance between the values of two networks, from a few of their weights."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .._stored import StoredArray

NEAR = 0.8
"""Cosine from which two networks of one architecture are copies; strangers lie within 0.1 of 0."""

_PROBES, _FEWEST = 3, 1000
"""Weights that are compared, and elements that a weight should have to be one of them."""


def cosine(arrays: Sequence[StoredArray], pairs: Sequence[tuple[int, int]]) -> float:
    """Return the cosine between the weights of two networks; NaN where values are lacking or not finite."""
    products = np.zeros(3)
    for pair in _probes(arrays, pairs):
        first, second = (arrays[index].values() for index in pair)
        if first is None or second is None:
            return math.nan
        a, b = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
        products += (a @ b, a @ a, b @ b)
    dot, first_square, second_square = products
    norm = math.sqrt(first_square * second_square)
    return float(dot / norm) if norm else math.nan


def is_zero(arrays: Sequence[StoredArray], members: Sequence[int]) -> bool:
    """Return whether a few weights hold nothing but zeros, which tells nothing of what they are."""
    probes = (index for index, _ in _probes(arrays, [(index, index) for index in members]))
    return all((v := arrays[index].values()) is not None and not v.any() for index in probes)


def is_nonnegative(arrays: Sequence[StoredArray], members: Sequence[int]) -> bool:
    """Return whether a few weights hold no negative value, as squares do and what is still zero."""
    probes = (index for index, _ in _probes(arrays, [(index, index) for index in members]))
    return all((v := arrays[index].values()) is not None and v.min() >= 0 for index in probes)


def _probes(
    arrays: Sequence[StoredArray], pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """The smallest weights of enough elements, the largest where none has."""
    size = {pair: math.prod(arrays[pair[0]].shape) for pair in pairs}
    ordered = sorted(pairs, key=lambda pair: (size[pair] < _FEWEST, abs(size[pair] - _FEWEST)))
    yield from ordered[:_PROBES]
