"""What the slots of blocks found, added up layer by layer, until a checkpoint is complete.

Sums are put by as they come and added up once, when all of a checkpoint's are there, in the order of its
kernels: a card does not depend on which layers shared its blocks, nor on what was read before.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from ..scans.internal import LayerStatistics, scaled_moments
from ..statistics import moments_from_gram, symmetric
from ._blocks import Block
from ._passes import SlotCounts, SlotSums, kinds_of

LAYERS_AT_ONCE = 4_096
"""Layers whose cards are made of their sums together, so that a hundred thousand need no copies of all."""


class Parts(NamedTuple):
    """`SlotSums` of parts of layers: whose they are, from which kernel on, and about which centers."""

    owners: Int64[np.ndarray, " n"]
    starts: Int64[np.ndarray, " n"]
    centers: Float[np.ndarray, "n 2 d"]
    squares: Float[np.ndarray, "n kinds triangle"]
    quality: Float[np.ndarray, "n columns"]

    @classmethod
    def of(cls, block: Block, sums: SlotSums) -> "Parts":
        """The slots of a block that are not empty; a program may have divided each into several."""
        squares, quality = map(np.asarray, sums)
        times = len(squares) // len(block.counts)
        owners, starts, centers = (
            x.repeat(times, axis=0) for x in (block.owners, block.starts, block.slots.centers)
        )
        # The order in which slots are added up must not depend on how many stayed empty after them.
        used = slice(times * np.count_nonzero(block.counts))
        return cls(owners, starts, centers, squares, quality).take(used)

    def take(self, which: slice | Int64[np.ndarray, " m"]) -> "Parts":
        """Some of them."""
        return Parts(*(values[which] for values in self))


@dataclasses.dataclass
class Account:
    """The cards of one checkpoint, and how many kernels of it are under way.

    Its layers are numbered from `first` on.
    """

    index: int
    cards: LayerStatistics
    first: int
    left: int = 0
    is_read: bool = False
    parts: list[Parts] = dataclasses.field(default_factory=list)

    def expect(self, kernels: int) -> None:
        """A layer is on its way into blocks, with so many kernels."""
        self.left += kernels

    def settle(self) -> None:
        """Make the cards of the sums."""
        if not self.parts:
            return
        parts = Parts(*map(np.concatenate, zip(*self.parts, strict=True)))
        self.parts = []
        order = np.lexsort((parts.starts, parts.owners))
        bounds = np.append(_runs(parts.owners[order]), len(order))
        for i in range(0, len(bounds) - 1, LAYERS_AT_ONCE):
            some = bounds[i : i + LAYERS_AT_ONCE + 1]
            _fill(self.cards, self.first, parts.take(order[some[0] : some[-1]]))


class Ledger:
    """Accounts of the checkpoints that are under way; each layer of them has a number of its own."""

    def __init__(self):
        self._next = 0
        self._open: dict[int, Account] = {}
        self._done: list[int] = []

    def open(self, index: int, cards: LayerStatistics) -> Account:
        """An account for checkpoint `index`."""
        account = self._open[self._next] = Account(index, cards, self._next)
        self._next += len(cards)
        return account

    def close(self, account: Account, *, lost: bool = False) -> None:
        """The last kernel of a checkpoint was read, or it was `lost` on the way."""
        account.is_read = True
        if lost:
            del self._open[account.first]
        elif not account.left:
            self._settle(account)

    def finished(self) -> list[int]:
        """The indices of the checkpoints that became complete since the last call."""
        done, self._done = self._done, []
        return done

    def add(self, block: Block, sums: SlotSums | None, counts: SlotCounts | None) -> None:
        """Put what the slots of a block found into the cards of their layers."""
        if sums is not None:
            parts = Parts.of(block, sums)
            for account, mine in self._shares(parts.owners):
                account.parts.append(parts.take(mine))
        if counts is not None:
            runs = _runs(block.owners)
            owners, found = block.owners[runs], _by_run(counts, runs)
            for account, mine in self._shares(owners):
                for name, values in found.items():
                    getattr(account.cards, name)[owners[mine] - account.first] += values[mine]
        for account, mine in self._shares(block.owners):
            account.left -= int(block.counts[mine].sum())
            if account.is_read and not account.left:
                self._settle(account)

    def _shares(self, owners: Int64[np.ndarray, " n"]) -> Iterator[tuple[Account, slice]]:
        """The accounts of some layers, which are in order, each with those that are its own."""
        accounts = list(self._open.values())
        ends = [(account.first, account.first + len(account.cards)) for account in accounts]
        for account, (start, stop) in zip(accounts, np.searchsorted(owners, ends), strict=True):
            if start < stop:
                yield account, slice(start, stop)

    def _settle(self, account: Account) -> None:
        del self._open[account.first]
        account.settle()
        self._done.append(account.index)


def _fill(cards: LayerStatistics, first: int, parts: Parts) -> None:
    """Add up the parts of some layers, and write them into their cards, in units of the weights again."""
    runs = _runs(parts.owners)
    rows = parts.owners[runs] - first
    squares, quality = (
        np.add.reduceat(x, runs, dtype=np.float64) for x in (parts.squares, parts.quality)
    )
    kinds, largest = kinds_of(squares.shape[1]), cards.max_abs[rows]
    is_normalized = np.array([kind == "normalized" for kind in kinds])
    centers = parts.centers[runs][:, np.where(is_normalized, 0, 1)].astype(np.float64)
    units = np.where(is_normalized, 1.0, largest[:, None])
    found = scaled_moments(moments_from_gram(centers, symmetric(squares)), units)
    for i, kind in enumerate(kinds):
        total = getattr(cards, kind)
        for name in ("count", "mean", "scatter"):
            getattr(total, name)[rows] = getattr(found, name)[:, i]
    if quality.shape[1]:
        n_zero, n_sparse, sum_abs, *n_below = quality.T
        cards.n_zero[rows], cards.n_sparse[rows] = n_zero, n_sparse
        cards.sum_abs[rows] = sum_abs * largest
        cards.n_below[rows] = np.stack(n_below, axis=1)


def _by_run(counts: SlotCounts, runs: Int64[np.ndarray, " runs"]) -> dict[str, np.ndarray]:
    """The counts of each run of slots, those left out that are zero everywhere."""
    # Most slots hold no sparse kernel, and small layers have one slot each.
    told = {name: x for name, x in counts._asdict().items() if x is not None and x.any()}
    return {
        name: x if len(runs) == len(x) else np.add.reduceat(x, runs, dtype=np.int64)
        for name, x in told.items()
    }


def _runs(owners: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " runs"]:
    """Where each run of equal owners starts."""
    return np.append(0, 1 + np.flatnonzero(owners[1:] != owners[:-1]))
