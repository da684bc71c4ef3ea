"""The programs that XLA runs over blocks: statistics of one slot, for all slots at once.

Each takes the arrays of a block first, so that `_devices` can run it on several of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..statistics import (
    Basis,
    Moments,
    by_tap,
    coefficient_histograms,
    coefficient_range,
    moments_and_subset,
    normalized_moments,
    relative_peaks,
    sparse_mask,
)


class QualitySums(NamedTuple):
    """What the quality metrics need of each slot, in units of the layer's largest absolute weight."""

    raw: Moments
    clean: Moments
    n_zero: Int[Array, "..."]
    n_sparse: Int[Array, "..."]
    sum_abs: Float[Array, "..."]


class SlotSums(NamedTuple):
    """What the first pass finds in each slot: moments of normalized kernels, and for quality."""

    normalized: Moments
    quality: QualitySums | None


class SlotCounts(NamedTuple):
    """What the second pass finds in each slot: histograms, and the coefficients outside their range."""

    histogram: Int[Array, "slots d bins"]
    n_outside: Int[Array, " slots"]


def moments_pass(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    *,
    eps: float,
    strict: bool,
    quality: bool,
) -> SlotSums:
    """Moments, and with `quality` zero and sparse kernels and norms, of every slot.

    `scales` holds the largest absolute weight of each slot's layer, 1 where that is zero.
    """

    def one(kernels, valid, scale):
        return SlotSums(
            normalized=normalized_moments(kernels, valid),
            quality=_quality(kernels, valid, scale, eps=eps, strict=strict) if quality else None,
        )

    return jax.vmap(one)(kernels, valid, scales)


def histogram_pass(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    basis: Basis,
    low: Float[Array, ""],
    high: Float[Array, ""],
    *,
    bins: int,
) -> SlotCounts:
    """Histograms of every slot's coefficients, and how many of them lay outside low..high."""
    slots, rows, d = kernels.shape
    counts, outside = coefficient_histograms(
        kernels.reshape(slots * rows, d),
        valid.reshape(slots * rows),
        basis,
        low=low,
        high=high,
        bins=bins,
        parts=slots,
    )
    return SlotCounts(counts, outside)


def extremes_pass(
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
    scales: Float[Array, " slots"],
    basis: Basis,
) -> tuple[Float[Array, " slots"], Float[Array, " slots"]]:
    """Smallest and largest coefficient of every slot."""
    return jax.vmap(lambda kernels, valid: coefficient_range(kernels, valid, basis))(kernels, valid)


@jax.jit
def gram_pass(
    gram: Float[Array, "tile tile"], a: Float[Array, "tile span"], b: Float[Array, "tile span"]
) -> Float[Array, "tile tile"]:
    """`gram` plus the inner products of the rows of two tiles."""
    return gram + jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _quality(
    kernels: Float[Array, "rows d"],
    valid: Bool[Array, " rows"],
    scale: Float[Array, ""],
    *,
    eps: float,
    strict: bool,
) -> QualitySums:
    sparse = valid & sparse_mask(kernels, scale, eps=eps, strict=strict)
    zero = valid & (relative_peaks(kernels, scale) == 0)
    raw, clean = moments_and_subset(kernels, valid, ~sparse, unit=scale)
    # A product with a vector is a faster sum on CPU.
    absolute = by_tap(jnp.add, jnp.abs(kernels)) / scale
    return QualitySums(
        raw=raw,
        clean=clean,
        n_zero=zero.sum(dtype=jnp.int32),
        n_sparse=sparse.sum(dtype=jnp.int32),
        sum_abs=jnp.matmul(absolute, jnp.ones_like(absolute), precision=jax.lax.Precision.HIGHEST),
    )
