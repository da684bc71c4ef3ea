"""Sparse kernels: those that contribute next to nothing to their layer."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._epsilon import EPSILON
from ._masks import positive_or_one
from ._normalize import kernel_max_abs, max_abs


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

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    relative = relative_max_abs(kernels, layer_max)
    below = relative < eps if strict else relative <= eps
    return below | (layer_max == 0)


def relative_max_abs(
    kernels: Float[Array, "n d"], layer_max: Float[Array, ""]
) -> Float[Array, " n"]:
    """Each kernel's largest absolute weight, as a share of its layer's; 0 in an all-zero layer."""
    return kernel_max_abs(kernels) / positive_or_one(layer_max)


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


relative_peaks = relative_max_abs  # moves to internal
