"""Orthogonality of weights of any shape: by BLAS on the host, or on a device in tiles of four sizes."""

import math
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from ._passes import gram_pass

TILES = ((64, 576), (128, 1_152), (256, 2_304), (256, 4_608))
"""Rows and columns of a tile; 4.7 MB of float32 the largest.

Of more rows than one tile has, half of the products are spared, since the matrix is symmetric.
"""

SMALL = 1 << 20
"""Multiplications of a product that NumPy has done before XLA has begun."""

ALONE = 1 << 18
"""Multiplications up to which BLAS stays in this thread: others would wait for those of XLA."""

SHORTEST, LONGEST = 1e-12, 1e15
"""Lengths of rows whose float32 products neither vanish nor overflow."""

Rows = Float[np.ndarray, "n D"]
Product = Callable[[int, int], np.ndarray]
"""Inner products of the rows of two bands, by their numbers."""


def tiled_orthogonality(weight: Float[np.ndarray, "out in *spatial"]) -> float:
    """Orthogonality of one layer, the same number as `statistics.orthogonality`.

    NaN for fewer than two output channels. Rows of zeros count as orthogonal to all.
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
    """The sum of |cos| over ordered pairs of rows; NaN where a row is too short or long for it."""
    tile = next((tile for tile in TILES if len(rows) <= tile[0]), TILES[-1])
    product, bands = _products(rows, tile), _bands(rows, tile[0])
    total, inverses = 0.0, []
    with np.errstate(over="ignore", invalid="ignore"):  # what has no length is not fit
        for i, band in enumerate(bands):
            gram = product(i, i)
            inverse = _inverse_lengths(gram, band)
            if inverse is None:
                return math.nan
            inverses.append(inverse)
            total += _absolute(gram, inverse, inverse, own=True)
    # The matrix is symmetric: tiles below the diagonal stand for those above it too.
    for i in range(len(bands)):
        for j in range(i):
            total += 2 * _absolute(product(i, j), inverses[i], inverses[j])
    return total


def _products(rows: Rows, tile: tuple[int, int]) -> Product:
    if len(rows) * rows.size <= SMALL:
        return lambda i, j: _small_product(rows)  # there is one band
    if jax.default_backend() == "cpu":
        return _on_host(rows, tile[0])
    return _on_device(rows, tile)


def _on_host(rows: Rows, height: int) -> Product:
    # BLAS takes half the time for a matrix by itself, and needs neither padding nor a program.
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
    width = max(ALONE // len(rows) ** 2, 1)
    parts = (rows[:, start : start + width] for start in range(0, rows.shape[1], width))
    return sum((part @ part.T for part in parts), np.zeros((len(rows), len(rows)), np.float32))


def _inverse_lengths(gram: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """1 over the length of each row, 0 for rows of zeros; None where one is too short or long for it."""
    squares = gram.diagonal()
    if squares.min() >= SHORTEST**2 and squares.max() <= LONGEST**2:
        return 1 / np.sqrt(squares)
    short = ~(squares >= SHORTEST**2)
    if rows[short].any() or not squares.max() <= LONGEST**2:
        return None
    return ~short / np.sqrt(np.maximum(squares, SHORTEST**2))


def _absolute(gram: np.ndarray, left: np.ndarray, right: np.ndarray, *, own: bool = False) -> float:
    """The sum of |cos| from inner products and inverse lengths; without rows and themselves if `own`."""
    total = left @ (np.abs(gram) @ right).astype(np.float64)
    return float(total - (gram.diagonal() * left) @ right if own else total)


def _unit(rows: Rows) -> Rows:
    """Rows of length 1, however large or small they were; rows of zeros stay."""
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = rows / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64))[:, None]
    return (scaled / np.where(length > 0, length, 1)).astype(np.float32)


def _tiles(rows: Rows, tile: tuple[int, int]) -> list[list[np.ndarray]]:
    """Bands of tiles that cover the matrix, padded with zeros where it ends within one."""
    n, width = (math.ceil(extent / step) for extent, step in zip(rows.shape, tile, strict=True))
    if rows.shape != (n * tile[0], width * tile[1]):
        padded = np.zeros((n * tile[0], width * tile[1]), np.float32)
        padded[: rows.shape[0], : rows.shape[1]] = rows
        rows = padded
    return [np.split(band, width, axis=1) for band in np.split(rows, n, axis=0)]
