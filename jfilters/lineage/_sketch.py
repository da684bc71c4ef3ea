"""The sketch of a layer: a random projection of the directions of its kernels, by which kin are recognized.

Kernels count as unit vectors less their mean, so that scale, BatchNorm folding and the smoothness that all
networks share change nothing. NumPy on the host, so that every engine makes the same bytes.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int8, UInt64

from ..statistics.internal import host_unit_kernels

DIMS = 4096
"""Numbers of a network's sketch, one byte each, spread evenly over its layers (METHOD, Lineage)."""

WIDTH = 64
"""Numbers of a row of a sketch: the least that a layer has. A layer has 1, 2, 4, ... or 64 rows."""

KERNELS = 4
"""Kernels that enter the sketch of a layer, for each of its numbers: those of evenly spaced output
channels.

So many add a twentieth to the variance of the sketch itself, and take a tenth of the time of all kernels.
"""

CHANNELS = 4
"""Output channels that enter at least: one alone may be unlike the others."""

ONE_DIRECTION = 1e-10
"""Mean squared length of centered unit kernels up to which it is rounding, as of blur kernels."""

_LEVELS = 127
_SAFE = 1e-30
"""Squared lengths between it and its inverse are exact enough in float32."""


class LayerSketch(NamedTuple):
    """The sketch of one layer: `rows`, whose scale is lost, and what its comparison needs.

    - `n`: kernels that entered, which are neither zero nor infinite.
    - `spread`: the effective dimension of their directions, (tr C)^2 / tr(C^2) of the covariance C.
    - `zeros`: the share of zeros among the weights that were looked at.
    """

    rows: Int8[np.ndarray, "rows width"]
    n: int
    spread: float
    zeros: float


def sketch(weight: Float[np.ndarray, "out in *spatial"], n_layers: int = 1) -> LayerSketch:
    """Return the sketch of a layer of a network with `n_layers` of them.

    The cosine of two sketches of layers of one shape estimates the cosine of their centered unit kernels,
    with a standard deviation of one over the root of their numbers.

    >>> weight = np.random.default_rng(0).normal(size=(16, 8, 3, 3)).astype(np.float32)
    >>> first, second = sketch(weight), sketch(3 * weight)
    >>> first.rows.shape, bool((first.rows == second.rows).all())
    ((32, 64), True)
    """
    rows = n_rows(n_layers, weight.size)
    kernels = sampled_channels(weight, KERNELS * WIDTH * rows).reshape(-1, _taps(weight))
    centered, n, spread = centered_directions(kernels)
    projection = _projected(centered.reshape(-1), rows)
    zeros = 1 - np.count_nonzero(kernels) / max(kernels.size, 1)
    return LayerSketch(projection, n, spread, zeros)


def n_rows(n_layers: int, size: int) -> int:
    """Return the rows of the sketch of a layer with so many weights, in a network of so many layers."""
    numbers = min(DIMS // max(n_layers, 1), _next_power(size))
    return max(_power_below(numbers) // WIDTH, 1)


def sampled_channels(
    weight: Float[np.ndarray, "out *axes"], kernels: int
) -> Float[np.ndarray, "m *axes"]:
    """Return evenly spaced output channels of a weight, with about so many kernels; all if it has fewer."""
    out, inner = weight.shape[:2]
    count = max(CHANNELS, kernels // max(inner, 1))
    if count >= out:
        return weight
    return weight[np.arange(count) * out // count]


def centered_directions(
    kernels: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, "n d"], int, float]:
    """Return unit kernels less their mean, how many are not zero, and the spread of their covariance.

    Kernels without a direction, which are zero or not finite, stay zero. All are zero where all kernels
    have one direction.
    """
    squares = np.einsum("ij,ij->i", kernels, kernels)
    if kernels.size and squares.min() > _SAFE and squares.max() < 1 / _SAFE:
        units, n = kernels * (1 / np.sqrt(squares))[:, None], len(kernels)
        has_direction = None
    else:
        units = host_unit_kernels(kernels)
        has_direction = units.any(axis=1)
        n = int(np.count_nonzero(has_direction))
    if n < 2:
        return np.zeros_like(units), n, 0.0
    units -= np.ones(len(units), np.float32) @ units / np.float32(n)
    if has_direction is not None:
        units[~has_direction] = 0
    gram = (units.T @ units).astype(np.float64)
    if np.trace(gram) <= ONE_DIRECTION * n:
        return np.zeros_like(units), n, 0.0
    total = float(np.sum(np.square(gram)))
    return units, n, float(np.trace(gram) ** 2 / total) if total > 0 else 0.0


def _projected(vector: Float[np.ndarray, " m"], rows: int) -> Int8[np.ndarray, "rows width"]:
    """Return signed sums over every `rows * WIDTH`-th number of a vector, rounded to a byte."""
    width = rows * WIDTH
    padded = np.zeros(-(-vector.size // width) * width, np.float32)
    np.multiply(vector, signs(vector.size), out=padded[: vector.size])
    sums = padded.reshape(-1, width).sum(axis=0)
    largest = np.abs(sums).max(initial=0)
    scaled = sums * np.float32(_LEVELS / largest) if largest > 0 else sums
    return np.rint(scaled).astype(np.int8).reshape(rows, WIDTH)


@functools.lru_cache(maxsize=256)
def signs(size: int) -> Float[np.ndarray, " size"]:
    """Return random signs that depend on their number alone: the same everywhere and in every version."""
    words = mixed(np.arange(-(-size // 64), dtype=np.uint64) + np.uint64(size) * _STRIDE)
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), count=size, bitorder="little")
    values = np.where(bits, np.float32(1), np.float32(-1))
    values.flags.writeable = False
    return values


def mixed(words: UInt64[np.ndarray, "*n"]) -> UInt64[np.ndarray, "*n"]:
    """Return 64 random bits for each word: the counter-based generator splitmix64.

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    words = words * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


_STRIDE = np.uint64(1 << 32)


def _taps(weight: np.ndarray) -> int:
    return int(np.prod(weight.shape[2:], dtype=np.int64))


def _power_below(number: int) -> int:
    return 1 << (max(number, 1).bit_length() - 1)


def _next_power(number: int) -> int:
    return 1 << (max(number, 1) - 1).bit_length()
