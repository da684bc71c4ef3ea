"""Sparse tensors of TensorFlow Lite: levels of dense and compressed axes, with blocks or without.

Source: "The Tensor Algebra Compiler" (Kjolstad et al., 2017), as the schema of TensorFlow Lite cites it.
"""

import dataclasses
import math

import numpy as np

from ...io import FlatTable
from . import _schema as schema

LARGEST_RATIO = 200
"""Dense values a stored one; trained weights are not as sparse as that."""

SMALLEST_LIMIT = 1 << 22
"""Dense values that any tensor may have."""


@dataclasses.dataclass(frozen=True)
class _Level:
    """One axis: `size` values, or the indices of those that are stored, in segments."""

    size: int
    segments: np.ndarray | None = None
    indices: np.ndarray | None = None


def densified(table: FlatTable, stored: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The dense tensor of a shape. Raises CheckpointError for parameters that do not fit it."""
    file, size = table.file, math.prod(shape)
    if size > max(LARGEST_RATIO * len(stored), SMALLEST_LIMIT):
        file.refuse(f"a sparse tensor of {len(stored)} values for a shape of {shape}")
    order = table.numbers(schema.Sparsity.ORDER, "<i4").tolist()
    blocks = table.numbers(schema.Sparsity.BLOCKS, "<i4").tolist()
    levels = [_level(item) for item in table.tables(schema.Sparsity.LEVELS)]
    rank = len(shape)
    if sorted(order) != [*range(rank + len(blocks))] or len(levels) != len(order):
        file.refuse(f"a sparse tensor of {len(levels)} levels in the order {order[:16]}")
    if any(not 0 <= axis < rank for axis in blocks):
        file.refuse(f"blocks along the axes {blocks[:16]} of {rank}")
    try:
        places, indices = _walked(levels, size)
        if len(indices) != len(stored):
            raise ValueError(f"{len(indices)} places for {len(stored)} values")
        axes = _axes(places, levels, order, blocks, rank)
        dense = np.zeros(shape, stored.dtype)
        dense[tuple(axes)] = stored[indices]
    except (IndexError, ValueError) as error:
        file.refuse(f"a sparse tensor whose indices do not fit {shape} ({error})")
    return dense


def _level(table: FlatTable) -> _Level:
    if table.number(schema.Level.FORMAT, "<b") == 0:
        return _Level(max(table.number(schema.Level.SIZE, "<i"), 0))
    parts = []
    for kind, field in (
        (schema.Level.SEGMENTS_TYPE, schema.Level.SEGMENTS),
        (schema.Level.INDICES_TYPE, schema.Level.INDICES),
    ):
        dtype = schema.SPARSE_VECTORS.get(table.number(kind, "<B"))
        vector = table.table(field)
        if dtype is None or vector is None:
            table.file.refuse("a level of a sparse tensor without its indices")
        parts.append(vector.numbers(0, dtype).astype(np.int64))
    return _Level(0, *parts)


def _walked(levels: list[_Level], size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The index along every level of each stored value, and its place among them."""
    places: list[np.ndarray] = []
    parents = np.zeros(1, np.int64)
    for level in levels:
        if level.segments is None or level.indices is None:
            counts = np.full(len(parents), level.size)
            firsts = parents * level.size
        else:
            firsts = level.segments[parents]
            counts = level.segments[parents + 1] - firsts
        if counts.min(initial=0) < 0 or counts.sum() > size:
            raise ValueError("more values than the tensor has")
        own = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = [np.repeat(place, counts) for place in places]
        parents = np.repeat(firsts, counts) + own
        places.append(own if level.indices is None else level.indices[parents])
    return places, parents


def _axes(
    places: list[np.ndarray], levels: list[_Level], order: list[int], blocks: list[int], rank: int
) -> list[np.ndarray]:
    """The index along every axis of the tensor, which a block refines."""
    axes = [places[order.index(axis)] for axis in range(rank)]
    for number, axis in enumerate(blocks):
        at = order.index(rank + number)
        axes[axis] = axes[axis] * levels[at].size + places[at]
    if any(axis.min(initial=0) < 0 for axis in axes):
        raise ValueError("a negative index")
    return axes
