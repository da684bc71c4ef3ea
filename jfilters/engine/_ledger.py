"""What the slots of blocks found, added up layer by layer, until a checkpoint is complete.

The parts of a layer are merged once, when all of them are there, in the order of its kernels: a card
does not depend on which layers shared its blocks, nor on what was read before.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from ..statistics import moments_from_gram
from ._blocks import Block
from ._card import Cards, scaled_moments
from ._passes import SlotCounts, SlotSums, kinds_of

LAYERS_AT_ONCE = 4_096
"""Layers whose cards are made of their sums together, so that a hundred thousand need no copies of all."""

Sums = dict[str, np.ndarray]
"""Slot sums in float64 and int64: each array leads with the slots, or once they are merged with layers."""


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
    sums: Sums = dataclasses.field(default_factory=dict)

    def put(self, rows: Int64[np.ndarray, " layers"], sums: Sums) -> None:
        """Note the sums of layers that are complete."""
        for name, values in sums.items():
            if name not in self.sums:
                self.sums[name] = np.zeros((len(self.cards), *values.shape[1:]), values.dtype)
            self.sums[name][rows] = values

    def settle(self) -> None:
        """Make the cards of the sums."""
        if self.sums:
            for start in range(0, len(self.cards), LAYERS_AT_ONCE):
                _fill(self.cards, self.sums, slice(start, start + LAYERS_AT_ONCE))
            self.sums = {}


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
        told = counts._asdict()
        found = {name: _by_run(told[name], runs) for name in told if told[name] is not None}
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
        parts = _on_host(sums)
        times = len(parts["grams"]) // len(block.counts)
        # The order in which slots are added up must not depend on how many stayed empty after them.
        used = times * np.count_nonzero(block.counts)
        centers = block.slots.centers[runs]
        owners, starts = block.owners[runs].tolist(), times * runs
        stops = np.append(starts[1:], used)
        whole = complete & np.array([owner not in self._parts for owner in owners])
        if whole.any():
            merged = _take(_merged(_take(parts, slice(used)), starts), whole)
            self._put(block.owners[runs][whole], centers[whole], merged)
        for i in np.flatnonzero(~whole):
            if (owner := owners[i]) in self._of:
                part = _take(parts, slice(starts[i], stops[i]))
                self._parts.setdefault(owner, []).append((int(block.starts[runs[i]]), part))
                if complete[i]:
                    self._put(np.array([owner]), centers[[i]], self._merged_parts(owner))

    def _merged_parts(self, owner: int) -> Sums:
        in_order = [part for _, part in sorted(self._parts.pop(owner), key=lambda item: item[0])]
        together = {name: np.concatenate([part[name] for part in in_order]) for name in in_order[0]}
        return _merged(together, np.zeros(1, np.int64))

    def _put(
        self,
        owners: Int64[np.ndarray, " layers"],
        centers: Float[np.ndarray, "layers 2 d"],
        sums: Sums,
    ) -> None:
        whole = sums | {"centers": centers}
        for account, rows, chosen in self._by_account(owners):
            account.put(rows, _take(whole, chosen))

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


def _on_host(sums: SlotSums) -> Sums:
    found: dict[str, Any] = {"grams": sums.grams}
    if sums.quality is not None:
        found |= sums.quality._asdict()
    return {name: values.astype(_WIDE[values.dtype.kind]) for name, values in found.items()}


_WIDE = {"f": np.float64, "i": np.int64}


def _take(sums: Sums, which: Any) -> Sums:
    return {name: values[which] for name, values in sums.items()}


def _merged(sums: Sums, runs: Int64[np.ndarray, " runs"]) -> Sums:
    """The sums of each run of slots."""
    return {name: np.add.reduceat(values, runs) for name, values in sums.items()}


def _fill(cards: Cards, sums: Sums, rows: slice) -> None:
    """Write the sums of some layers into their cards; raw and clean ones in units of the weights again."""
    part = _take(sums, rows)
    grams, near, largest = part.pop("grams"), part.pop("centers"), cards.max_abs[rows]
    kinds = kinds_of(grams.shape[1])
    is_normalized = np.array([kind == "normalized" for kind in kinds])
    centers = near[:, np.where(is_normalized, 0, 1)].astype(np.float64)
    units = np.where(is_normalized, 1.0, largest[:, None])
    found = scaled_moments(moments_from_gram(centers, grams), units)
    for i, kind in enumerate(kinds):
        total = getattr(cards, kind)
        for name in ("count", "mean", "scatter"):
            getattr(total, name)[rows] = getattr(found, name)[:, i]
    for name, values in part.items():
        getattr(cards, name)[rows] = values * largest if name == "sum_abs" else values


def _by_run(counts: Any, runs: Int64[np.ndarray, " runs"]) -> np.ndarray:
    return np.add.reduceat(np.asarray(counts), runs, dtype=np.int64)


def _runs(owners: Int64[np.ndarray, " parts"]) -> Int64[np.ndarray, " runs"]:
    """Where each run of equal owners starts."""
    return np.append(0, 1 + np.flatnonzero(owners[1:] != owners[:-1]))
