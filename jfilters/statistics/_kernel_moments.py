"""Moments of the kernels of one block, on the device."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._inputs import KernelsLike, WhereLike, over_layers
from ._moments import Moments, moments_from_gram
from ._sums import total_gram


def moments(kernels: KernelsLike, *, where: WhereLike = None) -> Moments:
    """Return the moments of the kernels that count, centered before they are squared.

    Robust to an offset that dwarfs the spread. No kernel gives all zeros; a NaN or infinite weight
    gives NaN. In float32, or float64 for float64 kernels. Works under jit, vmap and grad; merge the
    moments of blocks on the host, in float64, by `host_moments` and `merge_moments`.

    **Arguments:**

    - `kernels`: rows (n, d), a weight (out, in, *spatial), or `Kernels` of one kernel size, whose
      moments stack over layers.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`.
    """
    return over_layers(row_moments, kernels, where, jnp, on_mesh=True)


def row_moments(kernels: Float[Array, "*n d"], where: Bool[Array, "*n"]) -> Moments:
    """Return the `moments` of rows, of which those that do not count are zero."""
    weight = where.astype(kernels.dtype)
    axes = tuple(range(where.ndim))
    center = jnp.sum(kernels, axis=axes) / jnp.maximum(jnp.sum(weight), 1)
    return moments_from_gram(center, total_gram(kernels - jnp.expand_dims(center, axes), weight))
