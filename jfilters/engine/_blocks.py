"""Layers of any size become blocks of two fixed shapes, so that XLA compiles two programs a pass.

A block is a (slots, rows, d) stack of kernels: each slot holds kernels of one layer, padded with
zeros. A large layer fills many slots, many small layers share a block.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int32, Int64

BLOCK_KERNELS = 131_072  # a block of 3x3 kernels is 4.7 MB: larger ones leave the cache
LARGE_ROWS = 8_192  # kernels a slot: XLA's products are twice as fast on slots of this size
SMALL_ROWS = 1_024  # for layers that would leave most of a large slot empty


@dataclasses.dataclass(frozen=True)
class Piece:
    """Kernels on their way into blocks: `rows` of layer `owner`, to be divided by `scale`."""

    owner: int
    rows: Float[np.ndarray, "n d"]
    scale: float


@dataclasses.dataclass
class Block:
    """A padded stack of kernels: slot i holds the first `counts[i]` kernels of layer `owners[i]`."""

    kernels: Float[np.ndarray, "slots rows d"]
    owners: Int64[np.ndarray, " slots"]
    counts: Int32[np.ndarray, " slots"]
    scales: Float[np.ndarray, " slots"]
    used: int = 0

    @classmethod
    def empty(cls, rows: int, d: int) -> "Block":
        """A block without kernels, for `rows` of them a slot."""
        slots = BLOCK_KERNELS // rows
        return cls(
            kernels=np.zeros((slots, rows, d), np.float32),
            owners=np.zeros(slots, np.int64),
            counts=np.zeros(slots, np.int32),
            scales=np.ones(slots, np.float32),
        )

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return self.used == len(self.owners)

    def put(self, piece: Piece, start: int) -> int:
        """Put the kernels of `piece` from `start` on into free slots; how many of them fitted."""
        slots, rows, d = self.kernels.shape
        n = min(len(piece.rows) - start, (slots - self.used) * rows)
        first, self.used = self.used, self.used + math.ceil(n / rows)
        flat = self.kernels.reshape(-1, d)
        flat[first * rows : first * rows + n] = piece.rows[start : start + n]
        taken = slice(first, self.used)
        self.scales[taken] = piece.scale
        # Slots that stay empty belong to the last layer, so that the slots of a layer are one run.
        self.owners[first:] = piece.owner
        self.counts[taken] = np.minimum(n - rows * np.arange(self.used - first), rows)
        return n


def pack(pieces: Iterable[Piece]) -> Iterator[Block]:
    """Blocks that hold every kernel of every piece exactly once."""
    blocks: dict[int, Block] = {}
    for piece in pieces:
        rows = LARGE_ROWS if len(piece.rows) > LARGE_ROWS // 2 else SMALL_ROWS
        start = 0
        while start < len(piece.rows):
            if rows not in blocks:
                blocks[rows] = Block.empty(rows, piece.rows.shape[1])
            start += blocks[rows].put(piece, start)
            if blocks[rows].is_full:
                yield blocks.pop(rows)
    yield from blocks.values()
