"""Layers of any size become blocks of one fixed shape, so that XLA compiles one program a pass.

A block is a (slots, rows, d) stack of kernels: each slot holds kernels of one layer, padded with
zeros. A large layer fills many slots, many small layers share a block.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int32, Int64

ROWS = 1_024  # kernels a slot: padding costs a layer at most one slot
SLOTS = 128  # a block of 3x3 kernels is 4.7 MB: larger ones leave the cache


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
    def empty(cls, d: int) -> "Block":
        """A block without kernels."""
        return cls(
            kernels=np.zeros((SLOTS, ROWS, d), np.float32),
            owners=np.zeros(SLOTS, np.int64),
            counts=np.zeros(SLOTS, np.int32),
            scales=np.ones(SLOTS, np.float32),
        )

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return self.used == SLOTS

    def put(self, piece: Piece, start: int) -> int:
        """Put the kernels of `piece` from `start` on into free slots; how many of them fitted."""
        n = min(len(piece.rows) - start, (SLOTS - self.used) * ROWS)
        first, self.used = self.used, self.used + math.ceil(n / ROWS)
        flat = self.kernels.reshape(SLOTS * ROWS, -1)
        flat[first * ROWS : first * ROWS + n] = piece.rows[start : start + n]
        taken = slice(first, self.used)
        self.scales[taken] = piece.scale
        # Slots that stay empty belong to the last layer, so that the slots of a layer are one run.
        self.owners[first:] = piece.owner
        self.counts[taken] = np.minimum(n - ROWS * np.arange(self.used - first), ROWS)
        return n


def pack(pieces: Iterable[Piece]) -> Iterator[Block]:
    """Blocks that hold every kernel of every piece exactly once, in order."""
    block = None
    for piece in pieces:
        start = 0
        while start < len(piece.rows):
            block = block or Block.empty(piece.rows.shape[1])
            start += block.put(piece, start)
            if block.is_full:
                yield block
                block = None
    if block:
        yield block
