"""Layers of any size become blocks of two fixed shapes, so that XLA compiles two programs a pass.

A block is a (slots, rows, d) stack of kernels: each slot holds kernels of one layer. A large block is
one full slot and lies where the weights were read to; small layers, and what is left of large ones,
are copied into the padded slots of a small block.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Int64

from .._memory import aligned_empty

BLOCK_KERNELS = 131_072  # a block of 3x3 kernels is 4.7 MB: larger ones leave the cache
SMALL_ROWS = 1_024  # kernels a slot of a small block


@dataclasses.dataclass(frozen=True)
class Piece:
    """Kernels on their way into blocks: `rows` of layer `owner`, to be divided by `scale`."""

    owner: int
    rows: Float[np.ndarray, "n d"]
    scale: float


@dataclasses.dataclass(frozen=True)
class Block:
    """A stack of kernels: slot i holds `counts[i]` kernels of layer `owners[i]`, and zeros after them.

    `valid` marks the same kernels. `starts` counts the kernels of the layer that lie in earlier slots.

    Slots that stay empty belong to the last layer, so that the slots of a layer are one run.
    """

    kernels: Float[np.ndarray, "slots rows d"]
    valid: Bool[np.ndarray, "slots rows"]
    counts: Int64[np.ndarray, " slots"]
    owners: Int64[np.ndarray, " slots"]
    starts: Int64[np.ndarray, " slots"]
    scales: Float[np.ndarray, " slots"]

    def split(self, rows: int) -> "Block":
        """The same block with shorter slots, of at most `rows` kernels; a divisor of what they have."""
        times = max(self.kernels.shape[1] // rows, 1)
        if times == 1:
            return self
        places = rows * np.arange(times)
        return Block(
            self.kernels.reshape(-1, rows, self.kernels.shape[2]),
            self.valid.reshape(-1, rows),
            np.clip(self.counts[:, None] - places, 0, rows).ravel(),
            np.repeat(self.owners, times),
            (self.starts[:, None] + places).ravel(),
            np.repeat(self.scales, times),
        )


def pack(pieces: Iterable[Piece]) -> Iterator[Block]:
    """Blocks that hold every kernel of every piece exactly once.

    How a layer is divided among slots depends on the layer alone, not on its neighbors: so do the
    sums that its slots give, to the last bit.
    """
    small = None
    for piece in pieces:
        start = 0
        while len(piece.rows) - start >= BLOCK_KERNELS:
            yield _large(piece, start)
            start += BLOCK_KERNELS
        while start < len(piece.rows):
            small = small or _Filling(piece.rows.shape[1])
            start += small.put(piece, start)
            if small.is_full:
                yield small.block()
                small = None
    if small:
        yield small.block()


def _large(piece: Piece, start: int) -> Block:
    rows = np.asarray(piece.rows[start : start + BLOCK_KERNELS], np.float32)
    count, owner = np.array([BLOCK_KERNELS]), np.array([piece.owner])
    scale = np.array([piece.scale], np.float32)
    return Block(rows[None], _all_valid(), count, owner, np.array([start]), scale)


@functools.cache
def _all_valid() -> Bool[np.ndarray, "1 rows"]:
    return np.ones((1, BLOCK_KERNELS), bool)


class _Filling:
    """A small block while it fills."""

    def __init__(self, d: int):
        self._slots, self._used = BLOCK_KERNELS // SMALL_ROWS, 0
        self._kernels = aligned_empty((self._slots, SMALL_ROWS, d), np.float32)
        self._counts = np.zeros(self._slots, np.int64)
        self._owners = np.zeros(self._slots, np.int64)
        self._starts = np.zeros(self._slots, np.int64)
        self._scales = np.ones(self._slots, np.float32)

    @property
    def is_full(self) -> bool:
        return self._used == self._slots

    def put(self, piece: Piece, start: int) -> int:
        """Put the kernels of `piece` from `start` on into free slots; how many of them fitted."""
        first, d = self._used, self._kernels.shape[2]
        n = min(len(piece.rows) - start, (self._slots - first) * SMALL_ROWS)
        self._used += math.ceil(n / SMALL_ROWS)
        flat = self._kernels.reshape(-1, d)
        flat[first * SMALL_ROWS : first * SMALL_ROWS + n] = piece.rows[start : start + n]
        flat[first * SMALL_ROWS + n : self._used * SMALL_ROWS] = 0
        taken = slice(first, self._used)
        self._scales[taken] = piece.scale
        self._owners[first:] = piece.owner
        places = SMALL_ROWS * np.arange(self._used - first)
        self._starts[taken] = start + places
        self._counts[taken] = np.minimum(n - places, SMALL_ROWS)
        return n

    def block(self) -> Block:
        """The block, with zeros in the slots that stayed empty."""
        self._kernels[self._used :] = 0
        valid = np.arange(SMALL_ROWS) < self._counts[:, None]
        return Block(self._kernels, valid, self._counts, self._owners, self._starts, self._scales)
