"""Layers of any size become blocks of two fixed shapes, so that XLA compiles two programs a pass.

A block is a (segments, rows, d) stack of kernels; each segment holds kernels of one layer. A large block is
one full segment and stays where the weights were read to. Small layers, and small remainders of large
ones, are copied into the padded segments of a small block.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from .._memory import aligned_empty

BLOCK_KERNELS = 131_072  # a block of 3x3 kernels is 4.7 MB: larger ones leave the cache
SMALL_ROWS = 1_024  # kernels a segment of a small block
OVERLAP_FROM = BLOCK_KERNELS // 2
"""Kernels from which the remainder of a large layer is cheaper in place than copied.

In place it shares a block with kernels that do not count.
"""


@dataclasses.dataclass(frozen=True)
class LayerKernels:
    """All kernels of one layer on their way into blocks: `rows`, to be divided by `scale`.

    `centers` are two points about which moments are taken: the first near the normalized kernels, the
    second near the kernels divided by `scale`.
    """

    layer_id: int
    rows: Float[np.ndarray, "n d"]
    scale: float
    centers: Float[np.ndarray, "2 d"]


class Segments(NamedTuple):
    """Arguments of every program: a stack of kernels, one layer a segment, and a mask of those that count.

    NumPy arrays on the host, JAX arrays in a program: `kernels` (segments, rows, d) and `valid` (segments,
    rows); `scales` (segments) and `centers` (segments, 2, d) are those of each segment's `LayerKernels`.
    """

    kernels: Any
    valid: Any
    scales: Any
    centers: Any

    def split(self, rows: int) -> "Segments":
        """Return the same kernels in segments of at most `rows`, which divides their present length."""
        times = max(self.kernels.shape[1] // rows, 1)
        return Segments(
            self.kernels.reshape(-1, self.kernels.shape[1] // times, self.kernels.shape[2]),
            self.valid.reshape(-1, self.valid.shape[1] // times),
            self.scales.repeat(times),
            self.centers.repeat(times, axis=0),
        )


@dataclasses.dataclass(frozen=True)
class Block:
    """Segments on the host; segment i holds `counts[i]` valid kernels of layer `layer_ids[i]`.

    `starts` counts the valid kernels of the layer in earlier segments. Empty segments at the end belong to
    the last layer, so that the segments of each layer are contiguous.
    """

    segments: Segments
    counts: Int64[np.ndarray, " segments"]
    layer_ids: Int64[np.ndarray, " segments"]
    starts: Int64[np.ndarray, " segments"]


def pack(layers: Iterable[LayerKernels]) -> Iterator[Block]:
    """Blocks that hold every kernel of every layer exactly once.

    The division of a layer among segments depends on the layer alone, not on its neighbors. So the sums of
    its segments are the same in every scan, to the last bit.
    """
    small = None
    for layer in layers:
        start, n = 0, len(layer.rows)
        while n - start >= BLOCK_KERNELS:
            yield _large(layer, start, BLOCK_KERNELS)
            start += BLOCK_KERNELS
        if start and n - start >= OVERLAP_FROM:
            yield _large(layer, start, n - start)
            continue
        while start < n:
            small = small or _SmallBlock(layer.rows.shape[1])
            start += small.append(layer, start)
            if small.is_full:
                yield small.block()
                small = None
    if small:
        yield small.block()


def _large(layer: LayerKernels, start: int, count: int) -> Block:
    """A block in place with the `count` kernels from `start` on at its end; earlier ones are masked."""
    first = start + count - BLOCK_KERNELS
    rows = np.asarray(layer.rows[first : first + BLOCK_KERNELS], np.float32)
    scale = np.array([layer.scale], np.float32)
    segments = Segments(rows[None], _last_valid(count), scale, layer.centers[None])
    return Block(segments, np.array([count]), np.array([layer.layer_id]), np.array([start]))


@functools.lru_cache(maxsize=8)
def _last_valid(count: int) -> Bool[np.ndarray, "1 rows"]:
    valid = aligned_empty((1, BLOCK_KERNELS), bool)
    valid[...] = np.arange(BLOCK_KERNELS) >= BLOCK_KERNELS - count
    return valid


def _first_valid(counts: Int64[np.ndarray, " segments"]) -> Bool[np.ndarray, "segments rows"]:
    if counts.min() == SMALL_ROWS:
        return _last_valid(BLOCK_KERNELS).reshape(-1, SMALL_ROWS)
    return np.arange(SMALL_ROWS) < counts[:, None]


class _SmallBlock:
    """A small block while it is filled."""

    def __init__(self, d: int):
        self._size, self._used = BLOCK_KERNELS // SMALL_ROWS, 0
        self._kernels = aligned_empty((BLOCK_KERNELS, d), np.float32)
        # Per layer: id, scale, centers, first kernel and number of kernels. Not the layer itself: its
        # rows would stay in memory until the block is full.
        self._layers: list[tuple[int, float, np.ndarray, int, int]] = []

    @property
    def is_full(self) -> bool:
        return self._used == self._size

    def append(self, layer: LayerKernels, start: int) -> int:
        """Copy kernels of `layer` from `start` on into free segments; return their number."""
        first = SMALL_ROWS * self._used
        n = min(len(layer.rows) - start, BLOCK_KERNELS - first)
        self._used += math.ceil(n / SMALL_ROWS)
        self._kernels[first : first + n] = layer.rows[start : start + n]
        self._kernels[first + n : SMALL_ROWS * self._used] = 0
        self._layers.append((layer.layer_id, layer.scale, layer.centers, start, n))
        return n

    def block(self) -> Block:
        """The block, with zeros in the segments that stayed empty."""
        self._kernels[SMALL_ROWS * self._used :] = 0
        layer_ids, scales, centers, starts, sizes = zip(*self._layers, strict=True)
        n = np.array(sizes)
        segments = -(-n // SMALL_ROWS)
        # The segments of a layer, counted from 0; empty ones follow those of the last layer.
        segments[-1] += self._size - self._used
        index = np.arange(self._size) - np.repeat(np.cumsum(segments) - segments, segments)
        counts = np.clip(np.repeat(n, segments) - SMALL_ROWS * index, 0, SMALL_ROWS)
        return Block(
            Segments(
                self._kernels.reshape(self._size, SMALL_ROWS, -1),
                _first_valid(counts),
                np.repeat(np.array(scales, np.float32), segments),
                np.repeat(np.stack(centers), segments, axis=0),
            ),
            counts,
            np.repeat(np.array(layer_ids), segments),
            np.repeat(np.array(starts), segments) + SMALL_ROWS * index,
        )
