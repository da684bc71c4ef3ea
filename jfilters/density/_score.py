"""The log-density of stored kernels, as many as there are, in blocks of one size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .._traced import on_host
from ..statistics.internal import KernelsLike, WhereLike, is_layered, layer_masks, layer_rows
from ._density import KernelDensity
from ._dequantize import dequantize

BLOCK = 4096
"""Kernels at a time, so that one program scores any number of them."""


@on_host("inside use jax.vmap(density.log_prob) on dequantized kernels")
def scores(
    key: Key[Array, ""], density: KernelDensity, kernels: KernelsLike, *, where: WhereLike = None
) -> Float[np.ndarray, "*kernels"] | tuple[Float[np.ndarray, "out in"], ...]:
    """Return the log-density of each raw kernel, in nats; NaN for zero kernels.

    Kernels are dequantized first, with the noise of `key`, and scored in blocks of `BLOCK`, so that
    one compiled program scores any number of them.

    **Arguments:**

    - `kernels`: raw, as rows (n, d), a weight (out, in, *spatial), or `Kernels`.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`. Others are
      NaN.

    **Returns:** (n,) values of rows, (out, in) of a weight, and a tuple of these of `Kernels`.

    Raises ValueError for weights that are NaN or infinite, and kernels of another size.
    """
    if is_layered(kernels):
        masks = layer_masks(where, len(kernels.weights))
        keys = jax.random.split(key, max(len(masks), 1))
        layers = zip(keys, kernels.weights, masks, strict=True)
        return tuple(_of_layer(of_layer, density, *layer) for of_layer, *layer in layers)
    return _of_layer(key, density, kernels, where)


def _of_layer(
    key: Key[Array, ""], density: KernelDensity, kernels: KernelsLike, where: WhereLike
) -> Float[np.ndarray, "*kernels"]:
    rows, mask = layer_rows(kernels, where, np)
    if rows.shape[1] != density.d:
        raise ValueError(
            f"expected kernels of {density.d} taps, as the density's are, got {rows.shape[1]}"
        )
    values = np.full(len(rows), np.nan)
    filled = mask & (np.abs(rows).max(axis=1, initial=0) > 0)
    values[filled] = _scored(key, density, rows[filled])
    return values.reshape(kernels.shape[: 1 if kernels.ndim == 2 else 2])


def _scored(
    key: Key[Array, ""], density: KernelDensity, kernels: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " n"]:
    n = len(kernels)
    # The last block is filled up with its own kind: any kernel but a zero one would do.
    padded = np.resize(kernels, (-(-n // BLOCK) * BLOCK, density.d)) if n else kernels
    blocks = padded.reshape(-1, BLOCK, density.d)
    keys = jax.random.split(key, len(blocks))
    parts = [
        np.asarray(_log_probs(density, jnp.asarray(dequantize(of_block, block).kernels)))
        for of_block, block in zip(keys, blocks, strict=True)
    ]
    return np.concatenate([np.zeros(0), *parts])[:n]


@eqx.filter_jit
def _log_probs(density: KernelDensity, kernels: Float[Array, "n d"]) -> Float[Array, " n"]:
    return jax.vmap(density.log_prob)(kernels)
