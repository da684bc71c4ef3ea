"""Stored kernels as points of the cube's surface: ties, saturated taps and grids are dequantized.

Weights are numbers on a grid, coarse when they were quantized. A density fitted to points of a grid grows
without bound on them and says nothing, so every point is moved within one cell first.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

RESOLUTION = 2.0**-7
"""The width of a cell, in units of the largest tap: the step of an int8 weight at full range."""

_FEWEST = 1024  # rows of a program
_INSIDE = 1 - 2.0**-20  # so that atanh stays finite in float32


class Surface(NamedTuple):
    """Normalized kernels off the grid, and how many zero kernels have no place on the surface."""

    kernels: Float[Array, "n d"]
    n_zero: int


def on_surface(key: Key[Array, ""], kernels: Float[np.ndarray, "n d"]) -> Surface:
    """Raw kernels as points of the cube's surface, each within its cell.

    The rule: a kernel is divided by its largest tap, and zero kernels are counted and left out. Of taps
    that tie for the largest one is drawn to be it. Every other tap is moved by uniform noise of
    +-`RESOLUTION` / 2 and reflected at +-1. Scores of kernels that went the same way compare.

    Raises ValueError for weights that are NaN or infinite.
    """
    if not np.isfinite(kernels).all():
        raise ValueError("expected finite kernels, got NaN or infinity; leave those out first")
    nonzero = kernels[np.abs(kernels).max(axis=1, initial=0) > 0]
    n = len(nonzero)
    # Few sizes, and so few programs, however many kernels a layer has.
    padded = np.ones((max(_FEWEST, 1 << (n - 1).bit_length()), kernels.shape[1]), np.float32)
    padded[:n] = nonzero
    return Surface(_moved(key, jnp.asarray(padded))[:n], len(kernels) - n)


@jax.jit
def _moved(key: Key[Array, ""], kernels: Float[Array, "n d"]) -> Float[Array, "n d"]:
    of_ties, of_cells = jax.random.split(key)
    scaled = kernels / jnp.max(jnp.abs(kernels), axis=1, keepdims=True)
    largest = jnp.abs(kernels) == jnp.max(jnp.abs(kernels), axis=1, keepdims=True)
    chance = jax.random.uniform(of_ties, kernels.shape)
    drawn = jnp.argmax(jnp.where(largest, chance, -1), axis=1)
    peak = jax.nn.one_hot(drawn, kernels.shape[1], dtype=bool)
    noise = jax.random.uniform(of_cells, kernels.shape, minval=-0.5, maxval=0.5) * RESOLUTION
    moved = _reflected(scaled + noise)
    return jnp.where(peak, jnp.sign(kernels), jnp.clip(moved, -_INSIDE, _INSIDE))


def _reflected(taps: Float[Array, "n d"]) -> Float[Array, "n d"]:
    return jnp.where(jnp.abs(taps) > 1, jnp.sign(taps) * 2 - taps, taps)
