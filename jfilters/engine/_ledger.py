"""What the slots of blocks found, added up layer by layer, until a checkpoint is complete.

The parts of a layer are merged once, when all of them are there, in the order of its kernels: a card
does not depend on which layers shared its blocks, nor on what was read before.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from ..statistics import Moments
from ._blocks import Block
from ._card import Cards, pool_moments, scaled_moments
from ._passes import SlotCounts, SlotSums, kinds_of


@dataclasses.dataclass
class Account:
    """The cards of one checkpoint, and how many of its layers are not complete yet."""

    index: int
    cards: Cards
    first: int
    left: int
    is_read: bool = False
    is_lost: bool = False


class Ledger:
    """Accounts of the checkpoints that are under way; each layer of them has a number of its own."""

    def __init__(self):
        self._next = 0
        self._of: dict[int, Account] = {}
        self._expected: dict[int, int] = {}
        self._parts: dict[int, list[tuple[int, Parts]]] = {}
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
        parts = Parts.of(sums)
        times = len(parts.moments.count) // len(block.counts)
        # The order in which slots are added up must not depend on how many stayed empty after them.
        used = times * np.count_nonzero(block.counts)
        owners, starts = block.owners[runs].tolist(), times * runs
        stops = np.append(starts[1:], used)
        here = np.array([owner not in self._parts for owner in owners])
        if (whole := complete & here).any():
            merged = parts.take(slice(used)).merged(starts).take(whole)
            self._write(block.owners[runs][whole], merged)
        for i in np.flatnonzero(~whole):
            if (owner := owners[i]) in self._of:
                part = parts.take(slice(starts[i], stops[i]))
                self._parts.setdefault(owner, []).append((int(block.starts[runs[i]]), part))
                if complete[i]:
                    self._merge(owner)

    def _merge(self, owner: int) -> None:
        in_order = sorted(self._parts.pop(owner), key=lambda item: item[0])
        together = Parts.concatenate([part for _, part in in_order])
        self._write(np.array([owner]), together.merged(np.zeros(1, np.int64)))

    def _write(self, owners: Int64[np.ndarray, " runs"], merged: "Parts") -> None:
        for account, rows, runs in self._by_account(owners):
            cards, found = account.cards, merged.take(runs)
            scale = cards.max_abs[rows]
            for i, name in enumerate(kinds_of(found.moments.count.shape[1])):
                kind = _kind(found.moments, i)
                of_card = kind if name == "normalized" else scaled_moments(kind, scale)
                _put(getattr(cards, name), rows, of_card)
            for name, values in found.counts.items():
                getattr(cards, name)[rows] = values
            if found.sum_abs is not None:
                cards.sum_abs[rows] = found.sum_abs * scale

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
        self._done.append(account)


@dataclasses.dataclass(frozen=True)
class Parts:
    """Slot sums on the host: each array leads with the slots, or after `merged` with the layers."""

    moments: Moments
    counts: dict[str, np.ndarray]
    sum_abs: np.ndarray | None

    @classmethod
    def of(cls, sums: SlotSums) -> "Parts":
        """The sums of a block's slots."""
        quality = sums.quality
        if quality is None:
            return cls(sums.moments, {}, None)
        counts = {name: np.asarray(getattr(quality, name)) for name in _QUALITY_COUNTS}
        return cls(sums.moments, counts, np.asarray(quality.sum_abs))

    @classmethod
    def concatenate(cls, parts: Sequence["Parts"]) -> "Parts":
        """The slots of several blocks."""
        return _each(lambda *leaves: np.concatenate(leaves), *parts)

    def take(self, which: Any) -> "Parts":
        """Some slots or layers."""
        return _each(lambda leaf: leaf[which], self)

    def merged(self, runs: Int64[np.ndarray, " runs"]) -> "Parts":
        """The sums of each run of slots, in float64 and int64."""
        return Parts(
            pool_moments(self.moments, runs),
            {name: _by_run(values, runs) for name, values in self.counts.items()},
            None
            if self.sum_abs is None
            else np.add.reduceat(self.sum_abs.astype(np.float64), runs),
        )


def _each(change: Callable[..., np.ndarray], *parts: Parts) -> Parts:
    # By hand: a tree map over records this small costs more than the arithmetic.
    first = parts[0]
    moments = [
        change(*(getattr(part.moments, name) for part in parts))
        for name in ("count", "mean", "scatter")
    ]
    counts = {name: change(*(part.counts[name] for part in parts)) for name in first.counts}
    has_sums = first.sum_abs is not None
    return Parts(
        Moments(*moments), counts, change(*(part.sum_abs for part in parts)) if has_sums else None
    )


_QUALITY_COUNTS = ("n_zero", "n_sparse", "n_below")


def _by_run(counts: Any, runs: Int64[np.ndarray, " runs"]) -> np.ndarray:
    return np.add.reduceat(np.asarray(counts), runs, dtype=np.int64)


def _kind(moments: Moments, i: int) -> Moments:
    return Moments(moments.count[:, i], moments.mean[:, i], moments.scatter[:, i])


def _put(total: Moments, rows: np.ndarray, part: Moments) -> None:
    for name in ("count", "mean", "scatter"):
        np.asarray(getattr(total, name))[rows] = getattr(part, name)


def _runs(owners: Int64[np.ndarray, " parts"]) -> Int64[np.ndarray, " runs"]:
    """Where each run of equal owners starts."""
    return np.append(0, 1 + np.flatnonzero(owners[1:] != owners[:-1]))
