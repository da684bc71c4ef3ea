"""Checkpoints in, readings out: the weights stream through the passes on this machine's devices."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..errors import CheckpointError
from ..scans.internal import LayerStatistics
from ..statistics import Basis, fixed_edges
from ._blocks import Piece, Slots, pack
from ._devices import over_blocks, run
from ._ledger import Ledger
from ._options import Options
from ._orthogonality import tiled_orthogonality
from ._passes import (
    ANY_ORDER,
    WIDE_VECTORS,
    SlotCounts,
    SlotSums,
    extremes_pass,
    histogram_pass,
    moments_pass,
)
from ._prepare import prepare

MOMENTS_ROWS = 8_192
"""Kernels of which moments are taken at a time: products of longer columns leave the cache."""

Weights = Iterable[np.ndarray]
"""The weights of one checkpoint's layers, in their order, one at a time; a CheckpointError ends them."""


@dataclasses.dataclass(frozen=True)
class Bins:
    """What histograms are made in: the basis, and the edges that all its components share."""

    basis: Basis
    edges: Float[np.ndarray, " edges"]

    @functools.cached_property
    def key(self) -> str:
        """The same for bins in which histograms may be compared and added, to the last bit."""
        whole = hashlib.sha256()
        for values in (*jax.tree.leaves(self.basis), self.edges):
            whole.update(np.ascontiguousarray(values, np.float64).tobytes())
        return whole.hexdigest()

    @functools.cached_property
    def on_device(self) -> tuple[Basis, np.float32, np.float32]:
        """The basis and the range as the programs take them."""
        return _on_device(self.basis), np.float32(self.edges[0]), np.float32(self.edges[-1])


def data_free_edges(options: Options) -> Float[np.ndarray, " edges"] | None:
    """The edges that need no look at the kernels; None if the range is that of the data."""
    if options.range == "data":
        return None
    if options.range == "fixed":
        return fixed_edges(options.d, options.bins)
    return np.linspace(*options.range, options.bins + 1)


@dataclasses.dataclass(frozen=True)
class Work:
    """What one reading of the weights is for.

    `first`: everything that needs no basis, without `shapes` only what quality needs; `bins`:
    histograms in them.
    """

    options: Options
    first: bool = False
    shapes: bool = True
    bins: Bins | None = None

    @property
    def moments(self) -> bool:
        """Whether moments are taken; with a known basis only the quality metrics need them."""
        return self.first and (self.bins is None or self.options.quality)


Opened = tuple[int, LayerStatistics, Weights]
"""A checkpoint on its way through the passes: its index, its cards, and its weights."""

Lost = Callable[[int, CheckpointError], None]
"""Called for a checkpoint that breaks while it is read."""


def collect(checkpoints: Iterable[Opened], work: Work, lost: Lost) -> Iterator[int]:
    """Fill the cards of each checkpoint in place; yields the index of each as soon as it is complete."""
    ledger = Ledger()

    def pieces() -> Iterator[Piece]:
        for index, cards, weights in checkpoints:
            account = ledger.open(index, cards)
            try:
                for row, weight in enumerate(weights):
                    piece = _piece(cards, row, weight, work, first=account.first)
                    account.expect(len(piece.rows))
                    yield piece
                ledger.close(account)
            except CheckpointError as error:
                ledger.close(account, lost=True)
                lost(index, error)

    for block, (sums, counts) in over_blocks(pack(pieces()), lambda slots: _programs(slots, work)):
        ledger.add(block, sums, counts)
        yield from ledger.finished()
    yield from ledger.finished()


def extremes(
    checkpoints: Iterable[Opened], options: Options, basis: Basis, lost: Lost
) -> tuple[float, float]:
    """Smallest and largest coefficient in `basis` over all kernels; inf and -inf where there are none."""
    device, work = _on_device(basis), Work(options)
    low, high = np.inf, -np.inf

    def pieces() -> Iterator[Piece]:
        for index, cards, weights in checkpoints:
            try:
                for row, weight in enumerate(weights):
                    yield _piece(cards, row, weight, work)
            except CheckpointError as error:
                lost(index, error)

    for _, (least, most) in over_blocks(
        pack(pieces()),
        lambda slots: run(
            extremes_pass, slots, device, on_cpu=WIDE_VECTORS, options=options.of_passes
        ),
    ):
        low, high = min(low, float(least.min())), max(high, float(most.max()))
    return low, high


def _piece(
    cards: LayerStatistics, row: int, weight: np.ndarray, work: Work, *, first: int = 0
) -> Piece:
    """A layer's weight as kernels for the passes; at its first reading its card notes what the host sees.

    Later readings know the largest weight of a finite layer from the card.
    """
    known = None if work.first or cards.n_nonfinite[row] else float(cards.max_abs[row])
    prepared = prepare(weight, largest=known)
    if work.first:
        cards.n_finite[row] = len(prepared.rows)
        cards.n_nonfinite[row] = prepared.n_nonfinite
        cards.max_abs[row] = prepared.max_abs
        if work.options.quality and work.options.orthogonality and prepared.n_nonfinite == 0:
            cards.orthogonality[row] = tiled_orthogonality(weight)
    centers = (
        prepared.centers() if work.moments else np.zeros((2, prepared.rows.shape[1]), np.float32)
    )
    return Piece(first + row, prepared.rows, prepared.scale, centers)


def _programs(slots: list[Slots], work: Work) -> tuple[SlotSums | None, SlotCounts | None]:
    sums = _sums(slots, work) if work.moments else None
    return sums, _counts(slots, work.options, work.bins) if work.bins else None


def _sums(slots: list[Slots], work: Work) -> SlotSums:
    shorter = [part.split(MOMENTS_ROWS) for part in slots]
    options = work.options.of_passes
    return run(moments_pass, shorter, on_cpu=ANY_ORDER, options=options, shapes=work.shapes)


def _counts(slots: list[Slots], options: Options, bins: Bins) -> SlotCounts:
    same = bins.on_device
    return run(histogram_pass, slots, *same, on_cpu=WIDE_VECTORS, options=options.of_passes)


def _on_device(basis: Basis) -> Basis:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), basis)
