"""Sparse kernels: those that contribute next to nothing to their layer."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._normalize import max_abs, peaks

EPSILON = 0.01
"""A kernel this small beside its layer's largest weight is sparse. Source: arXiv:2203.15331."""


def sparse_mask(
    kernels: Float[Array, "n d"],
    layer_max: Float[Array, ""],
    *,
    eps: float = EPSILON,
    strict: bool = True,
) -> Bool[Array, " n"]:
    """Which kernels stay below `eps` times the layer's largest absolute weight in every tap.

    `strict` compares with <, else with <= as arXiv:2204.02481 does. In an all-zero layer every
    kernel is sparse.
    """
    largest, limit = peaks(kernels), eps * layer_max
    below = largest < limit if strict else largest <= limit
    return below | (layer_max == 0)


def sparsity(
    kernels: Float[Array, "n d"],
    valid: Bool[Array, " n"],
    *,
    eps: float = EPSILON,
    strict: bool = True,
) -> Float[Array, ""]:
    """The fraction of a layer's valid kernels that are sparse; NaN if there is none.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    sparse = sparse_mask(kernels, max_abs(kernels, valid), eps=eps, strict=strict)
    return jnp.mean(sparse, where=valid, dtype=kernels.dtype)
