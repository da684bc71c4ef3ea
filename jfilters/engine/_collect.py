"""Pieces of layers in, cards out: the two passes, whatever the weights come from."""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..statistics import Basis, fit_basis, fixed_edges
from ._blocks import Block, Piece, pack
from ._card import Cards, add_moments, add_parts, pooled_moments, scaled_moments
from ._options import Options
from ._orthogonality import tiled_orthogonality
from ._passes import QualitySums, SlotSums, extremes_pass, histogram_pass, moments_pass
from ._prepare import prepare

IN_FLIGHT = 2  # blocks that the device works on while the host packs the next


def piece(cards: Cards, row: int, weight: np.ndarray, options: Options, *, first: bool) -> Piece:
    """A layer's weight as kernels for the passes; the `first` time its card notes what the host sees.

    Later passes know the largest weight of a finite layer from the card.
    """
    known = None if first or cards.n_nonfinite[row] else float(cards.max_abs[row])
    prepared = prepare(weight, largest=known)
    if first:
        cards.n_finite[row] = len(prepared.rows)
        cards.n_nonfinite[row] = prepared.n_nonfinite
        cards.max_abs[row] = prepared.max_abs
        if options.quality and options.orthogonality and prepared.n_nonfinite == 0:
            cards.orthogonality[row] = tiled_orthogonality(weight)
    return Piece(row, prepared.rows, prepared.scale)


def collect_moments(cards: Cards, pieces: Iterable[Piece], options: Options) -> None:
    """The first pass: moments, zero and sparse kernels and norms, added to `cards` in place."""

    def program(block: Block) -> SlotSums:
        return moments_pass(
            block.kernels,
            block.counts,
            block.scales,
            eps=options.sparse_eps,
            strict=options.sparse_strict,
            quality=options.quality,
        )

    for block, sums in _stream(pack(pieces), program):
        _add(cards, block, sums)


def collect_histograms(
    cards: Cards, pieces: Iterable[Piece], basis: Basis, edges: Float[np.ndarray, " edges"]
) -> None:
    """The second pass: coefficient histograms, in place of those that `cards` held."""
    cards.histogram[...] = 0
    cards.n_outside[...] = 0
    device, low, high = _on_device(basis), np.float32(edges[0]), np.float32(edges[-1])

    def program(block: Block) -> tuple[jax.Array, jax.Array]:
        return histogram_pass(
            block.kernels, block.counts, block.scales, device, low, high, bins=len(edges) - 1
        )

    for block, (counts, outside) in _stream(pack(pieces), program):
        add_parts(cards.histogram, block.owners, counts)
        add_parts(cards.n_outside, block.owners, outside)


def fitted_basis(cards: Cards) -> Basis | None:
    """The basis of all kernels behind the cards; None for fewer than two, or if all are equal."""
    if not len(cards):
        return None
    try:
        return fit_basis(pooled_moments(cards.normalized))
    except ValueError:
        return None


def histogram_edges(
    pieces: Callable[[], Iterable[Piece]], basis: Basis, options: Options
) -> Float[np.ndarray, " edges"]:
    """The edges of the chosen range policy; the data range costs a pass over the pieces of its own."""
    if options.range == "fixed":
        return fixed_edges(options.d, options.bins)
    device = _on_device(basis)
    low, high = np.inf, -np.inf
    for _, (least, most) in _stream(
        pack(pieces()), lambda b: extremes_pass(b.kernels, b.counts, b.scales, device)
    ):
        low, high = min(low, float(least)), max(high, float(most))
    return np.linspace(low, high, options.bins + 1)


def _add(cards: Cards, block: Block, sums: SlotSums) -> None:
    owners = block.owners
    add_moments(cards.normalized, owners, sums.normalized)
    if sums.quality is not None:
        _add_quality(cards, owners, sums.quality)


def _add_quality(cards: Cards, owners: np.ndarray, sums: QualitySums) -> None:
    add_parts(cards.n_zero, owners, sums.n_zero)
    add_parts(cards.n_sparse, owners, sums.n_sparse)
    scale = cards.max_abs[owners]
    add_parts(cards.sum_abs, owners, np.asarray(sums.sum_abs, np.float64) * scale)
    add_parts(cards.sum_squares, owners, np.asarray(sums.sum_squares, np.float64) * scale**2)
    add_moments(cards.raw, owners, scaled_moments(sums.raw, scale))
    add_moments(cards.clean, owners, scaled_moments(sums.clean, scale))


def _stream(
    blocks: Iterable[Block], program: Callable[[Block], Any]
) -> Iterator[tuple[Block, Any]]:
    """The program's result for every block; the device works while the host packs the next blocks."""
    waiting: collections.deque[tuple[Block, Any]] = collections.deque()
    for block in blocks:
        waiting.append((block, program(block)))
        if len(waiting) > IN_FLIGHT:
            yield waiting.popleft()
    yield from waiting


def _on_device(basis: Basis) -> Basis:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), basis)
