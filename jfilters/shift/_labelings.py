"""Labelings of parts that a test compares with the one observed: units change sides whole.

A part is the kernels of one unit in one group. Units in one group alone exchange their labels with each
other; a unit in several groups exchanges the labels of its own parts.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

Blocks = list[np.ndarray]
"""Places of parts that exchange their labels with each other, block by block."""


def blocks_of(unit: Int64[np.ndarray, " parts"], strata: Int64[np.ndarray, " parts"]) -> Blocks:
    """Return the blocks: each unit with several parts, and the other units of each stratum."""
    varies = is_varying(unit)
    units = [np.flatnonzero(unit == number) for number in np.unique(unit[varies])]
    strata = np.where(varies, -1, strata)
    return [*units, *(np.flatnonzero(strata == number) for number in np.unique(strata[~varies]))]


def is_varying(unit: Int64[np.ndarray, " parts"]) -> np.ndarray:
    """Return True for the parts of units that have several, one in each of their groups."""
    _, index, counts = np.unique(unit, return_inverse=True, return_counts=True)
    return counts[index] > 1


def labelings(
    rng: np.random.Generator,
    group: Int64[np.ndarray, " parts"],
    blocks: Blocks,
    permutations: int,
) -> tuple[Int64[np.ndarray, "count parts"], bool]:
    """Return labelings other than the observed one or, where they are few, every distinct labeling.

    The flag says that they are all there, the observed one among them.
    """
    if math.prod(_arrangements_of(group[block]) for block in blocks) <= permutations:
        return _every(group, blocks), True
    place = np.zeros(len(group), np.int64)
    for number, block in enumerate(blocks):
        place[block] = number
    # Parts by block and in random order within each take the labels of the blocks in their order.
    order = np.argsort(place + rng.random((permutations, len(group))), axis=1)
    labels = np.empty(order.shape, np.int64)
    np.put_along_axis(labels, order, group[np.argsort(place, kind="stable")][None], axis=1)
    return labels, False


def _arrangements_of(labels: Int64[np.ndarray, " places"]) -> int:
    count = math.factorial(len(labels))
    for number in np.bincount(labels).tolist():
        count //= math.factorial(number)
    return count


def _every(group: Int64[np.ndarray, " parts"], blocks: Blocks) -> Int64[np.ndarray, "count parts"]:
    choices = [list(_arrangements(tuple(sorted(group[block].tolist())))) for block in blocks]
    rows = list(itertools.product(*choices))
    labels = np.tile(group, (len(rows), 1))
    for row, arrangement in zip(labels, rows, strict=True):
        for block, values in zip(blocks, arrangement, strict=True):
            row[block] = values
    return labels


def _arrangements(labels: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield every distinct order of labels."""
    if not labels:
        yield ()
    for label in sorted(set(labels)):
        place = labels.index(label)
        for tail in _arrangements([*labels[:place], *labels[place + 1 :]]):
            yield (label, *tail)
