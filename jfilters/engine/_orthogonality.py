"""Orthogonality of weights of any shape: by BLAS on the host, or on a device in tiles of four sizes."""

import math
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from ._passes import gram_pass

TILES = ((64, 576), (128, 1_152), (256, 2_304), (256, 4_608))
"""Rows and columns of a tile; the largest has 4.7 MB of float32.

A layer with more rows than a tile needs only half of the products, since the matrix is symmetric.
"""

SMALL = 1 << 20
"""Multiplications that NumPy finishes in the time that XLA needs to start a program."""

ONE_THREAD = 1 << 18
"""Multiplications up to which BLAS uses one thread: further threads would wait for those of XLA."""

SHORTEST, LONGEST = 1e-12, 1e15
"""Lengths of rows whose float32 products neither underflow nor overflow."""

Rows = Float[np.ndarray, "n D"]
Product = Callable[[int, int], np.ndarray]
"""Takes the indices of two bands, and returns the inner products of their rows."""


def tiled_orthogonality(weight: Float[np.ndarray, "out in *spatial"]) -> float:
    """Orthogonality of one layer on the host or in tiles, equal to `statistics.orthogonality`.

    1 minus the mean |cos| between different output channels, computed from inner products in float32. Small
    layers are multiplied by NumPy, large ones by BLAS on CPU or in tiles of four sizes on an accelerator.
    NaN for fewer than two output channels; rows of zeros count as orthogonal to all.
    """
    rows = weight.reshape(len(weight), -1)
    n = len(rows)
    if n < 2:
        return math.nan
    total = _sum_of_cosines(rows)
    if math.isnan(total):
        total = _sum_of_cosines(_unit(rows))
    # Rounding can carry |cos| of equal rows past 1.
    return 1.0 - min(total / (n * (n - 1)), 1.0)


def _sum_of_cosines(rows: Rows) -> float:
    """The sum of |cos| over ordered pairs of rows; NaN if a row is too short or too long for float32."""
    tile = next((tile for tile in TILES if len(rows) <= tile[0]), TILES[-1])
    product, bands = _products(rows, tile), _bands(rows, tile[0])
    total, inverses = 0.0, []
    with np.errstate(over="ignore", invalid="ignore"):  # such rows have no length, and give NaN
        for i, band in enumerate(bands):
            gram = product(i, i)
            inverse = _inverse_lengths(gram, band)
            if inverse is None:
                return math.nan
            inverses.append(inverse)
            total += _absolute(gram, inverse, inverse, diagonal=True)
    # The matrix is symmetric: tiles below the diagonal stand for those above it too.
    for i in range(len(bands)):
        for j in range(i):
            total += 2 * _absolute(product(i, j), inverses[i], inverses[j])
    return total


def _products(rows: Rows, tile: tuple[int, int]) -> Product:
    if len(rows) <= tile[0] and len(rows) * rows.size <= SMALL:
        return lambda i, j: _small_product(rows)  # there is one band
    if jax.default_backend() == "cpu":
        return _on_host(rows, tile[0])
    return _on_device(rows, tile)


def _on_host(rows: Rows, height: int) -> Product:
    # BLAS computes a matrix times its own transpose in half the time, without padding and a program.
    bands = _bands(rows, height)
    return lambda i, j: bands[i] @ bands[j].T


def _bands(rows: Rows, height: int) -> list[np.ndarray]:
    return [rows[start : start + height] for start in range(0, len(rows), height)]


def _on_device(rows: Rows, tile: tuple[int, int]) -> Product:
    bands = _tiles(rows, tile)
    sizes = list(map(len, _bands(rows, tile[0])))

    def product(i: int, j: int) -> np.ndarray:
        gram = np.zeros((tile[0], tile[0]), np.float32)
        for a, b in zip(bands[i], bands[j], strict=True):
            gram = gram_pass(gram, a, b)
        return np.asarray(gram)[: sizes[i], : sizes[j]]

    return product


def _small_product(rows: Rows) -> np.ndarray:
    width = max(ONE_THREAD // len(rows) ** 2, 1)
    parts = (rows[:, start : start + width] for start in range(0, rows.shape[1], width))
    return sum((part @ part.T for part in parts), np.zeros((len(rows), len(rows)), np.float32))


def _inverse_lengths(gram: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """1 over the length of each row, 0 for zero rows; None if a row is too short or too long."""
    squares = gram.diagonal()
    if squares.min() >= SHORTEST**2 and squares.max() <= LONGEST**2:
        return 1 / np.sqrt(squares)
    short = ~(squares >= SHORTEST**2)
    if rows[short].any() or not squares.max() <= LONGEST**2:
        return None
    return ~short / np.sqrt(np.maximum(squares, SHORTEST**2))


def _absolute(
    gram: np.ndarray, inverse_a: np.ndarray, inverse_b: np.ndarray, *, diagonal: bool = False
) -> float:
    """The sum of |cos| from inner products and inverse lengths.

    With `diagonal` the matrix is symmetric, and the pairs of each row with itself do not count.
    """
    total = inverse_a @ (np.abs(gram) @ inverse_b).astype(np.float64)
    return float(total - (gram.diagonal() * inverse_a) @ inverse_b if diagonal else total)


def _unit(rows: Rows) -> Rows:
    """Rows scaled to length 1, however large or small; zero rows stay zero."""
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = rows / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64))[:, None]
    return (scaled / np.where(length > 0, length, 1)).astype(np.float32)


def _tiles(rows: Rows, tile: tuple[int, int]) -> list[list[np.ndarray]]:
    """Bands of tiles that cover the matrix, padded with zeros at its edges."""
    n, width = (math.ceil(extent / step) for extent, step in zip(rows.shape, tile, strict=True))
    if rows.shape != (n * tile[0], width * tile[1]):
        padded = np.zeros((n * tile[0], width * tile[1]), np.float32)
        padded[: rows.shape[0], : rows.shape[1]] = rows
        rows = padded
    return [np.split(band, width, axis=1) for band in np.split(rows, n, axis=0)]
