"""What the slots of blocks found, added up layer by layer, until a checkpoint is complete.

The parts of a layer are merged once, when all of them are there, in the order of its kernels: a card
does not depend on which layers shared its blocks, nor on what was read before.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from ..statistics import Moments
from ._blocks import Block
from ._card import Cards, pool_moments, scaled_moments
from ._passes import SlotCounts, SlotSums

MOMENTS_ROWS = 8_192
"""Kernels of which moments are taken at a time: products of longer columns leave the cache."""


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
        self._parts: dict[int, list[tuple[int, SlotSums]]] = {}
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
        if counts is not None:
            self._add_counts(block.owners[runs], *(_by_run(part, runs) for part in counts))
        kernels = np.add.reduceat(block.counts, runs)
        complete = [
            self._receive(int(owner), int(n))
            for owner, n in zip(block.owners[runs], kernels, strict=True)
        ]
        if sums is not None:
            self._add_sums(block.split(MOMENTS_ROWS), sums, np.array(complete))
        for owner in block.owners[runs][complete]:
            self._complete(int(owner))

    def _receive(self, owner: int, kernels: int) -> bool:
        if owner not in self._of:
            return False
        self._expected[owner] -= kernels
        return self._expected[owner] == 0

    def _add_counts(self, owners: np.ndarray, histogram: np.ndarray, n_outside: np.ndarray) -> None:
        for account, rows, runs in self._by_account(owners):
            account.cards.histogram[rows] += histogram[runs]
            account.cards.n_outside[rows] += n_outside[runs]

    def _add_sums(self, block: Block, sums: SlotSums, complete: np.ndarray) -> None:
        # The order in which slots are added up must not depend on how many stayed empty after them.
        used = np.count_nonzero(block.counts)
        sums = jax.tree.map(lambda leaf: leaf[:used], sums)
        runs = _runs(block.owners[:used])
        stops = np.append(runs[1:], used)
        owners = block.owners[runs]
        whole = complete & ~np.isin(owners, list(self._parts))
        if whole.any():
            self._write(owners[whole], jax.tree.map(lambda leaf: leaf[whole], _merged(sums, runs)))
        for i in np.flatnonzero(~whole):
            if (owner := int(owners[i])) in self._of:
                part = jax.tree.map(lambda leaf, i=i: leaf[runs[i] : stops[i]], sums)
                self._parts.setdefault(owner, []).append((int(block.starts[runs[i]]), part))
                if complete[i]:
                    self._merge(owner)

    def _merge(self, owner: int) -> None:
        parts = [part for _, part in sorted(self._parts.pop(owner), key=lambda item: item[0])]
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
        self._write(np.array([owner]), _merged(together, np.zeros(1, np.int64)))

    def _write(self, owners: Int64[np.ndarray, " runs"], merged: SlotSums) -> None:
        for account, rows, runs in self._by_account(owners):
            cards, part = account.cards, jax.tree.map(lambda leaf, runs=runs: leaf[runs], merged)
            _put(cards.normalized, rows, part.normalized)
            if (quality := part.quality) is not None:
                scale = cards.max_abs[rows]
                _put(cards.raw, rows, scaled_moments(quality.raw, scale))
                _put(cards.clean, rows, scaled_moments(quality.clean, scale))
                cards.n_zero[rows] = quality.n_zero
                cards.n_sparse[rows] = quality.n_sparse
                cards.sum_abs[rows] = quality.sum_abs * scale

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


def _merged(sums: SlotSums, runs: Int64[np.ndarray, " runs"]) -> SlotSums:
    """The sums of each run of slots, in float64 and int64."""

    def merge(part: Any) -> Any:
        if isinstance(part, Moments):
            return pool_moments(part, runs)
        wide = np.int64 if part.dtype.kind in "iu" else np.float64
        return np.add.reduceat(part.astype(wide), runs)

    return jax.tree.map(merge, sums, is_leaf=lambda part: isinstance(part, Moments))


def _by_run(counts: Any, runs: Int64[np.ndarray, " runs"]) -> np.ndarray:
    return np.add.reduceat(counts.astype(np.int64), runs)


def _put(total: Moments, rows: np.ndarray, part: Moments) -> None:
    for name in ("count", "mean", "scatter"):
        np.asarray(getattr(total, name))[rows] = getattr(part, name)


def _runs(owners: Int64[np.ndarray, " parts"]) -> Int64[np.ndarray, " runs"]:
    """Where each run of equal owners starts."""
    return np.flatnonzero(np.diff(owners, prepend=-1))
