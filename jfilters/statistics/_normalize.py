"""Normalization of kernels by their own largest absolute weight.

Shape statistics use normalized kernels, so that a kernel's scale, which batch normalization makes
arbitrary, does not count.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._arrays import keep, positive_or_one

_UNROLLED_TAPS = 9


def normalize(kernels: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Each kernel divided by its largest absolute weight; a zero kernel stays zero.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    largest = peaks(kernels)[:, None]
    scaled = kernels / positive_or_one(largest)
    # XLA may multiply by a reciprocal, which would leave one kernel in seven without a tap at +-1.
    return jnp.where(jnp.abs(kernels) == largest, jnp.sign(kernels), scaled)


def max_abs(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Float[Array, ""]:
    """The largest absolute weight over the valid kernels; 0 if there is none."""
    return jnp.max(jnp.abs(keep(kernels, valid)), initial=0)


def peaks(kernels: Float[Array, "n d"]) -> Float[Array, " n"]:
    """The largest absolute weight of each kernel."""
    magnitudes = jnp.abs(kernels)
    if kernels.shape[1] > _UNROLLED_TAPS:
        return jnp.max(magnitudes, axis=1)
    # Tap by tap: on CPU, XLA vectorizes a maximum of columns but not a reduction over 9 minor
    # entries. The barrier keeps it from computing the maximum anew for each tap that it divides.
    return jax.lax.optimization_barrier(functools.reduce(jnp.maximum, magnitudes.T))
