"""Orthogonality of weights of any shape through tiles of two sizes: few programs for XLA."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ._passes import gram_pass

TILES = ((64, 576), (512, 2_304))  # rows, columns: 0.1 and 4.7 MB of float32


def tiled_orthogonality(weight: Float[np.ndarray, "out in *spatial"]) -> float:
    """Orthogonality of one layer, the same number as `statistics.orthogonality`.

    NaN for fewer than two output channels. Rows of zeros count as orthogonal to all.
    """
    rows = weight.reshape(len(weight), -1)
    n = len(rows)
    if n < 2:
        return math.nan
    size, span = next((t for t in TILES if n <= t[0]), TILES[-1])
    tiles = _tiles(_unit(rows), size, span)
    total = 0.0
    for i, left in enumerate(tiles):
        for j, right in enumerate(tiles[: i + 1]):
            # The matrix is symmetric: tiles below the diagonal stand for those above it too.
            total += _absolute_sum(left, right, diagonal=i == j) * (1 if i == j else 2)
    return 1.0 - total / (n * (n - 1))


def _unit(rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
    # Scaled first: squares of very large or small weights leave float32.
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = rows / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64))[:, None]
    return (scaled / np.where(length > 0, length, 1)).astype(np.float32)


def _tiles(rows: Float[np.ndarray, "n D"], size: int, span: int) -> list[list[jax.Array]]:
    """Rows of zero-padded (size, span) tiles that cover the matrix."""
    n, width = (
        math.ceil(extent / step) for extent, step in zip(rows.shape, (size, span), strict=True)
    )
    padded = np.zeros((n * size, width * span), np.float32)
    padded[: rows.shape[0], : rows.shape[1]] = rows
    return [
        [jnp.asarray(tile) for tile in np.split(band, width, axis=1)]
        for band in np.split(padded, n, axis=0)
    ]


def _absolute_sum(left: list[jax.Array], right: list[jax.Array], *, diagonal: bool) -> float:
    size = left[0].shape[0]
    gram = jnp.zeros((size, size), jnp.float32)
    for a, b in zip(left, right, strict=True):
        gram = gram_pass(gram, a, b)
    # Rounding can carry |cos| of equal rows past 1.
    values = np.minimum(np.abs(np.asarray(gram)), 1.0)
    return float(values.sum(dtype=np.float64) - (np.trace(values) if diagonal else 0.0))
