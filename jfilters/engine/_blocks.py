"""Layers of any size become blocks of two fixed shapes, so that XLA compiles two programs a pass.

A block is a (slots, rows, d) stack of kernels: each slot holds kernels of one layer. A large block is
one full slot and lies where the weights were read to; small layers, and what little is left of large
ones, are copied into the padded slots of a small block.
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
SMALL_ROWS = 1_024  # kernels a slot of a small block
OVERLAP_FROM = BLOCK_KERNELS // 2
"""So much left of a large layer is cheaper in place, beside kernels that do not count, than copied."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """Kernels on their way into blocks: `rows` of layer `owner`, to be divided by `scale`.

    `centers` are points near the kernels, about which their moments are taken: near the normalized ones,
    and near those divided by `scale`.
    """

    owner: int
    rows: Float[np.ndarray, "n d"]
    scale: float
    centers: Float[np.ndarray, "2 d"]


class Slots(NamedTuple):
    """What the programs take: a stack of kernels, a layer a slot, and which of them count.

    NumPy arrays on the host, JAX's in a program: `kernels` (slots, rows, d) and `valid` (slots, rows);
    `scales` (slots) and `centers` (slots, 2, d) are those of each slot's `Piece`.
    """

    kernels: Any
    valid: Any
    scales: Any
    centers: Any

    def split(self, rows: int) -> "Slots":
        """The same kernels in shorter slots, of at most `rows`; a divisor of what they have."""
        times = max(self.kernels.shape[1] // rows, 1)
        return Slots(
            self.kernels.reshape(-1, self.kernels.shape[1] // times, self.kernels.shape[2]),
            self.valid.reshape(-1, self.valid.shape[1] // times),
            self.scales.repeat(times),
            self.centers.repeat(times, axis=0),
        )


@dataclasses.dataclass(frozen=True)
class Block:
    """Slots on the host, and whose they are: slot i holds `counts[i]` valid kernels of layer `owners[i]`.

    `starts` counts the valid kernels of the layer that lie in earlier slots. Slots that stay empty belong
    to the last layer, so that the slots of a layer are one run.
    """

    slots: Slots
    counts: Int64[np.ndarray, " slots"]
    owners: Int64[np.ndarray, " slots"]
    starts: Int64[np.ndarray, " slots"]


def pack(pieces: Iterable[Piece]) -> Iterator[Block]:
    """Blocks that hold every kernel of every piece exactly once.

    How a layer is divided among slots depends on the layer alone, not on its neighbors: so do the
    sums that its slots give, to the last bit.
    """
    small = None
    for piece in pieces:
        start, n = 0, len(piece.rows)
        while n - start >= BLOCK_KERNELS:
            yield _large(piece, start, BLOCK_KERNELS)
            start += BLOCK_KERNELS
        if start and n - start >= OVERLAP_FROM:
            yield _large(piece, start, n - start)
            continue
        while start < n:
            small = small or _Filling(piece.rows.shape[1])
            start += small.put(piece, start)
            if small.is_full:
                yield small.block()
                small = None
    if small:
        yield small.block()


def _large(piece: Piece, start: int, count: int) -> Block:
    """A block in place that ends `count` kernels after `start`; those before `start` do not count in it."""
    first = start + count - BLOCK_KERNELS
    rows = np.asarray(piece.rows[first : first + BLOCK_KERNELS], np.float32)
    scale = np.array([piece.scale], np.float32)
    slots = Slots(rows[None], _valid_last(count), scale, piece.centers[None])
    return Block(slots, np.array([count]), np.array([piece.owner]), np.array([start]))


@functools.lru_cache(maxsize=8)
def _valid_last(count: int) -> Bool[np.ndarray, "1 rows"]:
    valid = aligned_empty((1, BLOCK_KERNELS), bool)
    valid[...] = np.arange(BLOCK_KERNELS) >= BLOCK_KERNELS - count
    return valid


def _valid_first(counts: Int64[np.ndarray, " slots"]) -> Bool[np.ndarray, "slots rows"]:
    if counts.min() == SMALL_ROWS:
        return _valid_last(BLOCK_KERNELS).reshape(-1, SMALL_ROWS)
    return np.arange(SMALL_ROWS) < counts[:, None]


class _Filling:
    """A small block while it fills."""

    def __init__(self, d: int):
        self._slots, self._used = BLOCK_KERNELS // SMALL_ROWS, 0
        self._kernels = aligned_empty((BLOCK_KERNELS, d), np.float32)
        # Of each piece its owner, scale and centers, where its part starts, and of how many kernels it is.
        self._parts: list[tuple[int, float, np.ndarray, int, int]] = []

    @property
    def is_full(self) -> bool:
        return self._used == self._slots

    def put(self, piece: Piece, start: int) -> int:
        """Put the kernels of `piece` from `start` on into free slots; how many of them fitted."""
        first = SMALL_ROWS * self._used
        n = min(len(piece.rows) - start, BLOCK_KERNELS - first)
        self._used += math.ceil(n / SMALL_ROWS)
        self._kernels[first : first + n] = piece.rows[start : start + n]
        self._kernels[first + n : SMALL_ROWS * self._used] = 0
        # Not the piece itself: its rows would stay in memory until the block is full.
        self._parts.append((piece.owner, piece.scale, piece.centers, start, n))
        return n

    def block(self) -> Block:
        """The block, with zeros in the slots that stayed empty."""
        self._kernels[SMALL_ROWS * self._used :] = 0
        owners, scales, centers, starts, sizes = zip(*self._parts, strict=True)
        n = np.array(sizes)
        slots = -(-n // SMALL_ROWS)
        # The slots of a piece, counted from 0; empty ones follow those of the last.
        slots[-1] += self._slots - self._used
        index = np.arange(self._slots) - np.repeat(np.cumsum(slots) - slots, slots)
        counts = np.clip(np.repeat(n, slots) - SMALL_ROWS * index, 0, SMALL_ROWS)
        return Block(
            Slots(
                self._kernels.reshape(self._slots, SMALL_ROWS, -1),
                _valid_first(counts),
                np.repeat(np.array(scales, np.float32), slots),
                np.repeat(np.stack(centers), slots, axis=0),
            ),
            counts,
            np.repeat(np.array(owners), slots),
            np.repeat(np.array(starts), slots) + SMALL_ROWS * index,
        )
