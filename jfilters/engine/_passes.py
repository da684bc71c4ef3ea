"""The programs that XLA runs over blocks: statistics of one slot, for all slots at once.

Each takes the arrays of a block first, so that `_devices` can run it on several of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..statistics import (
    EPSILONS,
    Basis,
    Moments,
    by_tap,
    centered_columns,
    coefficient_histograms,
    coefficient_range,
    column_moments,
    counts_below,
    normalized_moments,
    relative_peaks,
    sparse_mask,
)
from ._options import Options


class QualitySums(NamedTuple):
    """What the quality metrics need of each slot beside moments; `sum_abs` in units of the layer.

    `n_below` counts the kernels that stay below each of `EPSILONS`.
    """

    n_zero: Int[Array, " slots"]
    n_sparse: Int[Array, " slots"]
    n_below: Int[Array, "slots epsilons"]
    sum_abs: Float[Array, " slots"]


class SlotSums(NamedTuple):
    """What the first pass finds in each slot: moments of normalized kernels, and for quality.

    The moments are those of `kinds_of` their number, along their second axis. Raw and clean ones are in
    units of the layer's largest absolute weight.
    """

    moments: Moments
    quality: QualitySums | None


KINDS = ("normalized", "raw", "clean")
"""The moments of a card."""


def kinds_of(count: int) -> tuple[str, ...]:
    """So many of `KINDS`: normalized ones alone without quality, the others where only quality is asked."""
    return {1: KINDS[:1], 2: KINDS[1:], 3: KINDS}[count]


class SlotCounts(NamedTuple):
    """What the second pass finds in each slot: histograms, and the coefficients outside their range.

    `sparse_histogram` is the part of `histogram` that sparse kernels make; None without quality.
    """

    histogram: Int[Array, "slots d bins"]
    n_outside: Int[Array, " slots"]
    sparse_histogram: Int[Array, "slots d bins"] | None


def moments_pass(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    *,
    options: Options,
    shapes: bool,
) -> SlotSums:
    """Moments, and with quality zero and sparse kernels and norms, of every slot.

    `scales` holds the largest absolute weight of each slot's layer, 1 where that is zero. Without
    `shapes` no moments of normalized kernels are taken.
    """
    sparse = _sparse(kernels, valid, scales, options)
    normalized = []
    if shapes:
        chosen = _population(kernels, valid, sparse, options)
        normalized.append(jax.vmap(normalized_moments)(*chosen))
    if not options.quality:
        return SlotSums(_stacked(*normalized), None)
    center, columns = jax.vmap(centered_columns)(kernels, valid, scales)
    raw = jax.vmap(column_moments)(center, columns)
    quality = _quality_sums(kernels, valid, scales, options)
    # Most blocks of most networks hold no sparse kernel at all, and a product is dear.
    clean = jax.lax.cond(
        jnp.any(quality.n_sparse),
        lambda: jax.vmap(column_moments)(center, columns, ~sparse),
        lambda: raw,
    )
    return SlotSums(_stacked(*normalized, raw, clean), quality)


def histogram_pass(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    basis: Basis,
    low: Float[Array, ""],
    high: Float[Array, ""],
    *,
    options: Options,
) -> SlotCounts:
    """Histograms of every slot's coefficients, and how many of them lay outside low..high."""
    slots, rows, d = kernels.shape
    sparse = _sparse(kernels, valid, scales, options)
    chosen, counted = _population(kernels, valid, sparse, options)
    found = coefficient_histograms(
        chosen.reshape(slots * rows, d),
        counted.reshape(slots * rows),
        basis,
        low=low,
        high=high,
        bins=options.bins,
        parts=slots,
        subset=sparse.reshape(slots * rows) if options.quality else None,
    )
    return SlotCounts(*found)


def extremes_pass(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    basis: Basis,
    *,
    options: Options,
) -> tuple[Float[Array, " slots"], Float[Array, " slots"]]:
    """Smallest and largest coefficient of every slot."""
    sparse = _sparse(kernels, valid, scales, options)
    return jax.vmap(lambda kernels, valid: coefficient_range(kernels, valid, basis))(
        *_population(kernels, valid, sparse, options)
    )


@jax.jit
def gram_pass(
    gram: Float[Array, "tile tile"], a: Float[Array, "tile span"], b: Float[Array, "tile span"]
) -> Float[Array, "tile tile"]:
    """`gram` plus the inner products of the rows of two tiles."""
    return gram + jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _sparse(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    options: Options,
) -> Bool[Array, "slots rows"]:
    def one(kernels, scale):
        return sparse_mask(kernels, scale, eps=options.sparse_eps, strict=options.sparse_strict)

    return valid & jax.vmap(one)(kernels, scales)


def _population(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    sparse: Bool[Array, "slots rows"],
    options: Options,
) -> tuple[Float[Array, "slots rows d"], Bool[Array, "slots rows"]]:
    """The kernels whose shapes are looked at, in the precision that they are looked at in."""
    if options.dtype == "float16":
        largest = jnp.finfo(jnp.float16).max.astype(kernels.dtype)
        kernels = jnp.clip(kernels, -largest, largest).astype(jnp.float16).astype(kernels.dtype)
    return kernels, valid & ~sparse if options.population == "clean" else valid


def _quality_sums(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    options: Options,
) -> QualitySums:
    limits = sorted({_POSITIVE, *EPSILONS, _limit(options)})
    peaks = jax.vmap(relative_peaks)(kernels, scales)
    below = jax.vmap(lambda values, valid: counts_below(values, valid, limits))(peaks, valid)
    n_below = dict(zip(limits, below.T, strict=True))
    # A product with a vector is a faster sum on CPU.
    absolute = jax.vmap(lambda rows: by_tap(jnp.add, jnp.abs(rows)))(kernels) / scales[:, None]
    ones = jnp.ones_like(absolute[0])
    return QualitySums(
        n_zero=n_below[_POSITIVE],
        n_sparse=n_below[_limit(options)],
        n_below=jnp.stack([n_below[eps] for eps in EPSILONS], axis=1),
        sum_abs=jnp.matmul(absolute, ones, precision=jax.lax.Precision.HIGHEST),
    )


_POSITIVE = float(np.finfo(np.float32).tiny)


def _limit(options: Options) -> float:
    """What the largest weight of a sparse kernel is less than, as a share of its layer's."""
    eps = options.sparse_eps
    return eps if options.sparse_strict else float(np.nextafter(np.float32(eps), np.float32(1)))


def _stacked(*kinds: Moments) -> Moments:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *kinds)
