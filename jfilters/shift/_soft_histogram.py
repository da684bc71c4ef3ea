"""Histograms that kernels move through continuously: a kernel near an edge is shared by both bins."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..statistics.internal import kernel_max_abs


def unit_kernels(kernels: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return kernels by their largest weight as `normalize` does, with a gradient that is always finite.

    A zero kernel stays zero and has a zero gradient. Kernels of 1e-30 have a finite gradient too: they are
    scaled by a constant before anything is squared.
    """
    tiny = jnp.finfo(kernels.dtype).tiny
    largest = jax.lax.stop_gradient(kernel_max_abs(kernels))[:, None]
    is_zero = largest < tiny
    scaled = jnp.where(is_zero, 0, kernels) / jnp.where(is_zero, 1, largest)
    return scaled / jnp.where(is_zero, 1, kernel_max_abs(scaled)[:, None])


def soft_histogram(
    coefficients: Float[Array, "n d"],
    is_counted: Bool[Array, " n"],
    low: Float[Array, ""],
    high: Float[Array, ""],
    *,
    bins: int,
    width: float,
) -> Float[Array, "d bins"]:
    """Return the mass of coefficients in each bin; at most `width` bins around an edge it is shared.

    The share of the upper bin rises linearly there, from 0 to 1. The end bins hold what lies outside.
    Scatters on CPU; compares and reduces on GPU and TPU, where scatters are serialized. Equal sums but
    for rounding.
    """
    position = ((coefficients - low) * (bins / (high - low))).T
    weight = is_counted.astype(coefficients.dtype)
    scatter, compare = (
        functools.partial(sums, bins=bins, width=width) for sums in (_by_scatter, _by_comparison)
    )
    return jax.lax.platform_dependent(position, weight, cpu=scatter, default=compare)


def _by_scatter(
    position: Float[Array, "d n"], weight: Float[Array, " n"], *, bins: int, width: float
) -> Float[Array, "d bins"]:
    # Clipped: integers hold no position of a kernel that is far outside.
    edge = jnp.round(jnp.clip(jax.lax.stop_gradient(position), 0, bins))
    upper = _share_above(position - edge, width) * weight[None]
    component = jnp.arange(len(position))[:, None]
    place = edge.astype(jnp.int32)
    empty = jnp.zeros((len(position), bins), position.dtype)
    below = jnp.clip(place - 1, 0, bins - 1)
    lower = empty.at[component, below].add(weight[None] - upper)
    return lower.at[component, jnp.clip(place, 0, bins - 1)].add(upper)


def _by_comparison(
    position: Float[Array, "d n"], weight: Float[Array, " n"], *, bins: int, width: float
) -> Float[Array, "d bins"]:
    # Kernels stay on the minor axis, which TPU pads to 128 lanes.
    bin_ = jnp.arange(bins, dtype=position.dtype)[None, :, None]
    from_here = _share_above(position[:, None] - bin_, width)
    from_next = _share_above(position[:, None] - (bin_ + 1), width)
    above = jnp.where(bin_ == 0, 1, from_here) - jnp.where(bin_ == bins - 1, 0, from_next)
    return jnp.sum(above * weight[None, None], axis=2)


def _share_above(distance: Float[Array, "*s"], width: float) -> Float[Array, "*s"]:
    """Return the share of mass at a signed distance from an edge, in bins, that lies above it."""
    return jnp.clip(distance / width + 0.5, 0, 1)
