"""What the slots of blocks found, added up layer by layer, until a checkpoint is complete.

The parts of a layer are merged once, when all of them are there, in the order of its kernels: a card
does not depend on which layers shared its blocks, nor on what was read before.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from ..statistics import moments_from_gram, symmetric
from ._blocks import Block
from ._card import Cards, scaled_moments
from ._passes import SlotCounts, SlotSums, kinds_of

LAYERS_AT_ONCE = 4_096
"""Layers whose cards are made of their sums together, so that a hundred thousand need no copies of all."""


class Sums(NamedTuple):
    """`SlotSums` in float64, and the centers that they are about: of slots, or of layers once merged."""

    squares: Float[np.ndarray, "n kinds triangle"]
    quality: Float[np.ndarray, "n columns"]
    centers: Float[np.ndarray, "n 2 d"]

    def take(self, which: Any) -> "Sums":
        """Those of some slots or layers."""
        return Sums(*(values[which] for values in self))

    def merged(self, runs: Int64[np.ndarray, " runs"]) -> "Sums":
        """The sums of each run of slots, which have one center."""
        squares, quality = (np.add.reduceat(values, runs) for values in self[:2])
        return Sums(squares, quality, self.centers[runs])


@dataclasses.dataclass
class Account:
    """The cards of one checkpoint, and how many of its layers are not complete yet.

    `sums` holds what the slots of each complete layer came to; the cards get it when all are there.
    """

    index: int
    cards: Cards
    first: int
    left: int
    is_read: bool = False
    is_lost: bool = False
    sums: Sums | None = None

    def put(self, rows: Int64[np.ndarray, " layers"], sums: Sums) -> None:
        """Note the sums of layers that are complete."""
        if self.sums is None:
            self.sums = Sums(*(np.zeros((len(self.cards), *x.shape[1:]), x.dtype) for x in sums))
        for kept, values in zip(self.sums, sums, strict=True):
            kept[rows] = values

    def settle(self) -> None:
        """Make the cards of the sums."""
        if self.sums is not None:
            for start in range(0, len(self.cards), LAYERS_AT_ONCE):
                _fill(self.cards, self.sums, slice(start, start + LAYERS_AT_ONCE))
            self.sums = None


class Ledger:
    """Accounts of the checkpoints that are under way; each layer of them has a number of its own."""

    def __init__(self):
        self._next = 0
        self._of: dict[int, Account] = {}
        self._expected: dict[int, int] = {}
        self._parts: dict[int, list[tuple[int, Sums]]] = {}
        self._done: list[Account] = []

    def open(self, index: int, cards: Cards) -> Account:
        """An account for checkpoint `index`; its layers are numbered from `first` on."""
        account = Account(index, cards, self._next, len(cards))
        self._next += len(cards)
        self._of.update(dict.fromkeys(range(account.first, self._next), account))
        return account

    def expect(self, owner: int, kernels: int) -> None:
        """Layer `owner` is on its way into blocks, with so many kernels."""
        self._expected[owner] = kernels
        if not kernels:
            self._complete(owner)

    def close(self, account: Account, *, lost: bool = False) -> None:
        """The last kernel of a checkpoint was read, or it was `lost` on the way."""
        account.is_read, account.is_lost = True, lost
        if lost or not account.left:
            self._settle(account)

    def finished(self) -> Iterator[Account]:
        """The checkpoints that became complete since the last call."""
        done, self._done = self._done, []
        yield from done

    def add(self, block: Block, sums: SlotSums | None, counts: SlotCounts | None) -> None:
        """Put what the slots of a block found into the cards of their layers."""
        runs = _runs(block.owners)
        owners = block.owners[runs]
        if counts is not None:
            self._add_counts(owners, runs, counts)
        complete = self._receive(owners, np.add.reduceat(block.counts, runs))
        if sums is not None:
            self._add_sums(block, runs, sums, complete)
        for owner in owners[complete]:
            self._complete(int(owner))

    def _receive(
        self, owners: Int64[np.ndarray, " runs"], kernels: Int64[np.ndarray, " runs"]
    ) -> Bool[np.ndarray, " runs"]:
        """Which layers are complete with so many more kernels of them."""
        complete = np.zeros(len(owners), bool)
        for i, (owner, n) in enumerate(zip(owners.tolist(), kernels.tolist(), strict=True)):
            if owner in self._of:
                self._expected[owner] -= n
                complete[i] = self._expected[owner] == 0
        return complete

    def _add_counts(
        self,
        owners: Int64[np.ndarray, " runs"],
        runs: Int64[np.ndarray, " runs"],
        counts: SlotCounts,
    ) -> None:
        # Most slots hold no sparse kernel, and small layers have one slot each.
        told = {name: x for name, x in counts._asdict().items() if x is not None and x.any()}
        found = {name: _by_run(x, runs) for name, x in told.items()}
        for account, rows, chosen in self._by_account(owners):
            for name, values in found.items():
                getattr(account.cards, name)[rows] += values[chosen]

    def _add_sums(
        self,
        block: Block,
        runs: Int64[np.ndarray, " runs"],
        sums: SlotSums,
        complete: Bool[np.ndarray, " runs"],
    ) -> None:
        """Merge the layers that lie in this block as a whole at once, and put the parts of others by."""
        times = len(sums.squares) // len(block.counts)
        # The order in which slots are added up must not depend on how many stayed empty after them.
        used = times * np.count_nonzero(block.counts)
        squares, quality = (np.asarray(x[:used], np.float64) for x in sums)
        parts = Sums(squares, quality, block.slots.centers.repeat(times, axis=0)[:used])
        owners, starts = block.owners[runs], times * runs
        whole = complete & np.array([owner not in self._parts for owner in owners.tolist()])
        if whole.any():
            self._put(owners[whole], parts.merged(starts).take(whole))
        stops = np.append(starts[1:], used)
        for i in np.flatnonzero(~whole):
            if (owner := int(owners[i])) in self._of:
                part = parts.take(slice(starts[i], stops[i]))
                self._parts.setdefault(owner, []).append((int(block.starts[runs[i]]), part))
                if complete[i]:
                    self._put(owners[[i]], self._merged_parts(owner))

    def _merged_parts(self, owner: int) -> Sums:
        in_order = [part for _, part in sorted(self._parts.pop(owner), key=lambda item: item[0])]
        together = Sums(*map(np.concatenate, zip(*in_order, strict=True)))
        return together.merged(np.zeros(1, np.int64))

    def _put(self, owners: Int64[np.ndarray, " layers"], sums: Sums) -> None:
        for account, rows, chosen in self._by_account(owners):
            account.put(rows, sums.take(chosen))

    def _by_account(
        self, owners: Int64[np.ndarray, " runs"]
    ) -> Iterator[tuple[Account, np.ndarray, list[int]]]:
        """The accounts behind layers, with the rows of their cards and the places in `owners`."""
        runs_of: dict[int, list[int]] = {}
        for run, owner in enumerate(map(int, owners)):
            if owner in self._of:
                runs_of.setdefault(self._of[owner].first, []).append(run)
        for first, runs in runs_of.items():
            yield self._of[int(owners[runs[0]])], owners[runs] - first, runs

    def _complete(self, owner: int) -> None:
        account = self._of[owner]
        account.left -= 1
        if account.is_read and not account.left:
            self._settle(account)

    def _settle(self, account: Account) -> None:
        for owner in range(account.first, account.first + len(account.cards)):
            for kept in (self._of, self._expected, self._parts):
                kept.pop(owner, None)
        if not account.is_lost:
            account.settle()
        self._done.append(account)


def _fill(cards: Cards, sums: Sums, rows: slice) -> None:
    """Write the sums of some layers into their cards; raw and clean ones in units of the weights again."""
    squares, quality, near = sums.take(rows)
    kinds, largest = kinds_of(squares.shape[1]), cards.max_abs[rows]
    is_normalized = np.array([kind == "normalized" for kind in kinds])
    centers = near[:, np.where(is_normalized, 0, 1)].astype(np.float64)
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


def _by_run(counts: np.ndarray, runs: Int64[np.ndarray, " runs"]) -> np.ndarray:
    return counts if len(runs) == len(counts) else np.add.reduceat(counts, runs, dtype=np.int64)


def _runs(owners: Int64[np.ndarray, " parts"]) -> Int64[np.ndarray, " runs"]:
    """Where each run of equal owners starts."""
    return np.append(0, 1 + np.flatnonzero(owners[1:] != owners[:-1]))
