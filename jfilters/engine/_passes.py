"""The programs that XLA runs over blocks: statistics of one slot, vmapped over slots."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..statistics import (
    Basis,
    Moments,
    coefficient_histogram,
    coefficient_range,
    moments_of_finite,
    normalized_moments,
    sparse_mask,
)


class QualitySums(NamedTuple):
    """What the quality metrics need of each slot, in units of the layer's largest absolute weight."""

    raw: Moments
    clean: Moments
    n_zero: Int[Array, "..."]
    n_sparse: Int[Array, "..."]
    sum_abs: Float[Array, "..."]
    sum_squares: Float[Array, "..."]


class SlotSums(NamedTuple):
    """What the first pass finds in each slot: moments of normalized kernels, and for quality."""

    normalized: Moments
    quality: QualitySums | None


@functools.partial(jax.jit, static_argnames=("eps", "strict", "quality"))
def moments_pass(
    kernels: Float[Array, "slots rows d"],
    counts: Int[Array, " slots"],
    scales: Float[Array, " slots"],
    *,
    eps: float,
    strict: bool,
    quality: bool,
) -> SlotSums:
    """Moments, and with `quality` zero and sparse kernels and norms, of every slot.

    `scales` holds the largest absolute weight of each slot's layer, 1 where that is zero.
    """

    def one(kernels, count, scale):
        valid, scaled = _valid(kernels, count), kernels / scale
        return SlotSums(
            normalized=normalized_moments(scaled, valid),
            quality=_quality(scaled, valid, eps=eps, strict=strict) if quality else None,
        )

    return jax.vmap(one)(kernels, counts, scales)


@functools.partial(jax.jit, static_argnames=("bins",))
def histogram_pass(
    kernels: Float[Array, "slots rows d"],
    counts: Int[Array, " slots"],
    scales: Float[Array, " slots"],
    basis: Basis,
    low: Float[Array, ""],
    high: Float[Array, ""],
    *,
    bins: int,
) -> tuple[Int[Array, "slots d bins"], Int[Array, " slots"]]:
    """Histograms of every slot's coefficients, and how many of them lay outside low..high."""

    def one(kernels, count, scale):
        valid = _valid(kernels, count)
        return coefficient_histogram(kernels / scale, valid, basis, low=low, high=high, bins=bins)

    return jax.vmap(one)(kernels, counts, scales)


@jax.jit
def extremes_pass(
    kernels: Float[Array, "slots rows d"],
    counts: Int[Array, " slots"],
    scales: Float[Array, " slots"],
    basis: Basis,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Smallest and largest coefficient of a block."""

    def one(kernels, count, scale):
        return coefficient_range(kernels / scale, _valid(kernels, count), basis)

    low, high = jax.vmap(one)(kernels, counts, scales)
    return low.min(), high.max()


@jax.jit
def gram_pass(
    gram: Float[Array, "tile tile"], a: Float[Array, "tile span"], b: Float[Array, "tile span"]
) -> Float[Array, "tile tile"]:
    """`gram` plus the inner products of the rows of two tiles."""
    return gram + jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _quality(
    scaled: Float[Array, "rows d"], valid: Bool[Array, " rows"], *, eps: float, strict: bool
) -> QualitySums:
    zero = valid & (scaled == 0).all(axis=1)
    one = jnp.ones((), scaled.dtype)
    sparse = valid & sparse_mask(scaled, one, eps=eps, strict=strict)
    return QualitySums(
        raw=moments_of_finite(scaled, valid),
        clean=moments_of_finite(scaled, valid & ~sparse),
        n_zero=zero.sum(dtype=jnp.int32),
        n_sparse=sparse.sum(dtype=jnp.int32),
        sum_abs=jnp.abs(scaled).sum(),
        sum_squares=jnp.square(scaled).sum(),
    )


def _valid(kernels: Float[Array, "rows d"], count: Int[Array, ""]) -> Bool[Array, " rows"]:
    return jnp.arange(kernels.shape[0], dtype=jnp.int32) < count
