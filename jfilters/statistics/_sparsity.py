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
    """Mark the kernels that stay below `eps` times the layer's largest absolute weight in every tap.

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
    """Return each kernel's largest absolute weight as a share of its layer's; 0 in an all-zero layer.

    Works under jit, vmap and grad. A kernel is sparse where this share is below `EPSILON`, so that
    several limits can be tried on one result.

    **Arguments:**

    - `layer_max`: the largest absolute weight of the layer, as `max_abs` gives it.
    """
    return kernel_max_abs(kernels) / positive_or_one(layer_max)


def sparsity(
    kernels: Float[Array, "n d"],
    valid: Bool[Array, " n"],
    *,
    eps: float = EPSILON,
    strict: bool = True,
) -> Float[Array, ""]:
    """Return the share of a layer's valid kernels that are sparse, from 0 to 1; NaN if there is none.

    A kernel is sparse where all its weights stay below `eps` times the largest absolute weight of the
    layer. Works under jit and vmap; `eps` and `strict` are static.

    **Arguments:**

    - `kernels`, `valid`: raw kernels of one layer, one a row, and the mask of those that count.
    - `strict`: compare with <, else with <= as arXiv:2204.02481 does.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> kernels = jnp.array([[1.0, 0.5], [0.001, 0.002]])
    >>> float(jf.sparsity(kernels, jnp.array([True, True])))
    0.5
    """
    sparse = sparse_mask(kernels, max_abs(kernels, valid), eps=eps, strict=strict)
    return jnp.mean(sparse, where=valid, dtype=kernels.dtype)
