"""Dequantization of stored kernels: ties, saturated taps and grids become points of a continuous set.

Weights are numbers on a grid, coarse when they were quantized. The likelihood of a density fitted to points
of a grid has no bound, so every point is moved within one cell first.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .._traced import on_host
from ..statistics.internal import KernelsLike, WhereLike, is_layered, layer_masks, layer_rows
from ._dequantized import RESOLUTION, Dequantized

_FEWEST = 4096  # rows of a program
_INSIDE = 1 - 2.0**-20  # so that atanh stays finite in float32


@on_host("dequantize outside of the program and pass the kernels in")
def dequantize(
    key: Key[Array, ""], kernels: KernelsLike, *, where: WhereLike = None
) -> Dequantized:
    """Normalize raw kernels and move each to a random point of its cell on the cube's surface.

    A kernel is divided by its largest tap, and zero kernels are counted and left out. Of taps that
    tie for the largest one is chosen at random. Every other tap is moved by uniform noise of
    +-`RESOLUTION` / 2 and reflected at +-1. Log-densities compare only between kernels that were
    dequantized alike. Compiles one program for each power of four of kernels.

    **Arguments:**

    - `key`: of the choice between ties and of the noise.
    - `kernels`: raw, as rows (n, d), a weight (out, in, *spatial), or `Kernels` of one size, whose layers
      are one set.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`.

    Raises ValueError for weights that are NaN or infinite, and TypeError for what is no kernels.
    """
    rows = _counted_rows(kernels, where)
    if not np.isfinite(rows).all():
        raise ValueError("expected finite kernels, got NaN or infinity; leave those out by where=")
    nonzero = rows[np.abs(rows).max(axis=1, initial=0) > 0]
    n = len(nonzero)
    padded = np.ones((_padded_size(n), rows.shape[1]), np.float32)
    padded[:n] = nonzero
    # Cut on the host: on the device it is a program for every number of kernels.
    return Dequantized(jnp.asarray(np.asarray(_moved(key, padded))[:n]), len(rows) - n)


def _counted_rows(kernels: KernelsLike, where: WhereLike) -> Float[np.ndarray, "n d"]:
    if not is_layered(kernels):
        rows, mask = layer_rows(kernels, where, np)
        return rows[mask]
    masks = layer_masks(where, len(kernels.weights))
    layers = [layer_rows(*layer, np) for layer in zip(kernels.weights, masks, strict=True)]
    if len({rows.shape[1] for rows, _ in layers}) != 1:
        raise ValueError(
            "expected layers of one kernel size; choose by kernels.select(spatial=...)"
        )
    return np.concatenate([rows[mask] for rows, mask in layers])


def _padded_size(n: int) -> int:
    """Return one of few sizes, and so of few programs, however many kernels there are."""
    size = _FEWEST
    while size < n:
        size *= 4
    return size


@jax.jit
def _moved(key: Key[Array, ""], kernels: Float[Array, "n d"]) -> Float[Array, "n d"]:
    of_ties, of_cells = jax.random.split(key)
    scaled = kernels / jnp.max(jnp.abs(kernels), axis=1, keepdims=True)
    largest = jnp.abs(kernels) == jnp.max(jnp.abs(kernels), axis=1, keepdims=True)
    priority = jax.random.uniform(of_ties, kernels.shape)
    largest_tap = jnp.argmax(jnp.where(largest, priority, -1), axis=1)
    peak = jax.nn.one_hot(largest_tap, kernels.shape[1], dtype=bool)
    noise = jax.random.uniform(of_cells, kernels.shape, minval=-0.5, maxval=0.5) * RESOLUTION
    moved = _reflected(scaled + noise)
    return jnp.where(peak, jnp.sign(kernels), jnp.clip(moved, -_INSIDE, _INSIDE))


def _reflected(taps: Float[Array, "n d"]) -> Float[Array, "n d"]:
    return jnp.where(jnp.abs(taps) > 1, jnp.sign(taps) * 2 - taps, taps)
