"""Moments of the kernels of one block, on the device."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._masks import keep
from ._moments import Moments, moments_from_gram
from ._sums import gram


def moments(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Moments:
    """Return the moments of the valid kernels, centered before they are squared.

    Robust to an offset that dwarfs the spread. No valid kernel gives all zeros. Works under jit, vmap
    and grad, in the type of the kernels; merge the moments of blocks on the host, in float64, by
    `host_moments` and `merge_moments`.
    """
    finite = keep(kernels, valid)
    center = jnp.sum(finite, axis=0) / jnp.maximum(jnp.sum(valid, dtype=kernels.dtype), 1)
    weight = valid.astype(kernels.dtype)
    return moments_from_gram(center, gram(finite - center[None], weight))
