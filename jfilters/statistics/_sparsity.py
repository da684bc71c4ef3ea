"""Sparse kernels: those that contribute next to nothing to their layer."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._traced import check_static
from ._arrays import defined
from ._epsilon import EPSILON
from ._inputs import KernelsLike, WhereLike, by_layer, is_layered, layer_rows, over_layers
from ._masks import largest_abs, positive_or_one
from ._meshes import automatic
from ._normalize import kernel_max_abs


def sparse_mask(
    kernels: KernelsLike,
    layer_max: Float[Array, ""] | None = None,
    *,
    where: WhereLike = None,
    eps: Any = EPSILON,
    strict: Any = True,
) -> Any:
    """Mark the kernels that stay below `eps` times the layer's largest absolute weight in every tap.

    Only kernels that count are marked, and in an all-zero layer all of them. A mask (n,) of rows,
    (out, in) of a weight, and one a layer of `Kernels`: `where` of another statistic takes it. Works
    under jit and vmap; `strict` is static.

    **Arguments:**

    - `kernels`: rows (n, d), a weight (out, in, *spatial), or `Kernels`.
    - `layer_max`: the largest absolute weight of the layer; that of `kernels` if not given.
    - `where`: marks the kernels that count; one mask a layer for `Kernels`.
    - `eps`: the limit, as a share of the largest weight.
    - `strict`: compare with <, else with <= as arXiv:2204.02481 does.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    check_static(strict=strict)

    def mask(weight: KernelsLike, counted: WhereLike) -> Bool[Array, "..."]:
        return automatic(lambda array: marks(array, counted), weight)

    def marks(weight: KernelsLike, counted: WhereLike) -> Bool[Array, "..."]:
        rows, valid = layer_rows(weight, counted, jnp, on_mesh=True)
        largest = largest_abs(rows)[0] if layer_max is None else layer_max
        sparse = sparse_rows(rows, largest, eps, strict)
        leading = jnp.shape(weight)[: 1 if jnp.ndim(weight) == 2 else 2]
        return (sparse if counted is None else sparse & valid).reshape(leading)

    if is_layered(kernels):
        return tuple(by_layer(mask, kernels, where))
    return mask(kernels, where)


def sparse_rows(
    kernels: Float[Array, "*n d"], layer_max: Float[Array, ""], eps: Any, strict: bool
) -> Bool[Array, "*n"]:
    """Mark the sparse rows, as `sparse_mask` does."""
    relative = relative_max_abs(kernels, layer_max)
    limit = jnp.asarray(eps, relative.dtype)
    below = relative < limit if strict else relative <= limit
    return below | (layer_max == 0)


def relative_max_abs(
    kernels: Float[Array, "*n d"], layer_max: Float[Array, ""]
) -> Float[Array, "*n"]:
    """Return each kernel's largest absolute weight as a share of its layer's; 0 in an all-zero layer.

    Works under jit, vmap and grad. A kernel is sparse where this share is below `EPSILON`, so that
    several limits can be tried on one result.

    **Arguments:**

    - `layer_max`: the largest absolute weight of the layer, as `max_abs` gives it.
    """
    return kernel_max_abs(kernels) / positive_or_one(layer_max)


def sparsity(
    kernels: KernelsLike,
    *,
    where: WhereLike = None,
    eps: Any = EPSILON,
    strict: Any = True,
) -> Float[Array, "*layers"]:
    """Return the share of a layer's kernels that are sparse, from 0 to 1.

    A kernel is sparse where all its weights stay below `eps` times the largest absolute weight of the
    layer. NaN if no kernel counts, and for a NaN or infinite weight that counts. Works under jit and
    vmap; `strict` is static. A step function: its gradient is zero.

    **Arguments:**

    - `kernels`: raw, as rows (n, d), a weight (out, in, *spatial), or `Kernels`: one value a layer.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`.
    - `eps`: the limit, as a share of the largest weight.
    - `strict`: compare with <, else with <= as arXiv:2204.02481 does.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> kernels = jnp.array([[1.0, 0.5], [0.001, 0.002]])
    >>> float(jf.sparsity(kernels))
    0.5
    """
    check_static(strict=strict)

    def share(rows: Float[Array, "*n d"], counted: Bool[Array, "*n"]) -> Float[Array, ""]:
        largest, finite = largest_abs(rows)
        sparse = sparse_rows(jnp.where(finite, rows, 0), largest, eps, strict) & counted
        n_sparse, count = (jnp.sum(mask, dtype=rows.dtype) for mask in (sparse, counted))
        return defined(finite & (count > 0), n_sparse / positive_or_one(count))

    return over_layers(share, kernels, where, jnp, on_mesh=True)
