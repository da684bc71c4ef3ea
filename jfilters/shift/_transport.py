"""Comparisons of kernel samples: transport, energy and kernel distances that see how taps vary together.

A sample is an array of points (n, d), normalized kernels or their coefficients, with one weight a
point where points stand for unequal numbers of kernels. Distances are Euclidean, so that no
orthonormal basis changes them. Each comparison is a function of the difference of both samples' weights
over all their points; a relabelling of points is then another row of weights.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from .._traced import on_host
from ..statistics.internal import KernelsLike, WhereLike
from ._samples import by_layer_pair, sample

Points = Float[np.ndarray, "n d"]
OtherPoints = Float[np.ndarray, "m d"]
Weights = Float[np.ndarray, " n"]
OtherWeights = Float[np.ndarray, " m"]
Form = Callable[[np.ndarray], np.ndarray]
"""From r rows of weight differences (r, n) over the same n points, each of sum 0, r values."""

_REMEDY = "call it on arrays, outside of the program, or compare histograms inside it by jf.drift"

SLICES = 64
FEATURES = 512
_ROWS = 1024  # of a distance matrix that are held at once


@on_host(_REMEDY)
def sliced_wasserstein(
    rng: np.random.Generator,
    x: KernelsLike,
    y: KernelsLike,
    x_weights: Any = None,
    y_weights: Any = None,
    *,
    where_x: WhereLike = None,
    where_y: WhereLike = None,
    slices: int = SLICES,
) -> Any:
    """The mean Wasserstein-1 distance of both samples along random directions, in units of the points.

    0 for equal samples, symmetric. Two samples of one distribution give about sqrt(1/n + 1/m) times
    the spread along a direction; the mean over 64 directions has a standard error of some percent. NaN
    for a NaN or infinite weight that counts. Runs on the host.

    **Arguments:**

    - `x`, `y`: kernels, as rows (n, d), weights (out, in, *spatial), or `Kernels` of equally many
      layers: one value a pair of layers.
    - `x_weights`, `y_weights`: of the rows; equal if not given.
    - `where_x`, `where_y`: mark the kernels that count; one mask a layer for `Kernels`.

    Source: Rabin, Peyre, Delon & Bernot, "Wasserstein barycenter and its application to texture
    mixing", 2011.
    """

    def form(points: Points) -> Form:
        return sliced_wasserstein_form(rng, points, slices=slices)

    return _compared(form, x, y, x_weights, y_weights, where_x, where_y)


@on_host(_REMEDY)
def energy_distance(
    x: KernelsLike,
    y: KernelsLike,
    x_weights: Any = None,
    y_weights: Any = None,
    *,
    where_x: WhereLike = None,
    where_y: WhereLike = None,
) -> Any:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs of points, in units of the points.

    0 for equal samples, symmetric, never negative. Two samples of one distribution give
    (1/n + 1/m) E|X - X'|. Not the square root that some libraries take. NaN for a NaN or infinite weight
    that counts. Runs on the host.

    **Arguments:**

    - `x`, `y`: kernels, as rows (n, d), weights (out, in, *spatial), or `Kernels` of equally many
      layers: one value a pair of layers.
    - `x_weights`, `y_weights`: of the rows; equal if not given.
    - `where_x`, `where_y`: mark the kernels that count; one mask a layer for `Kernels`.

    Source: Szekely & Rizzo, "Energy statistics", 2013.
    """
    return _compared(energy_form, x, y, x_weights, y_weights, where_x, where_y)


@on_host(_REMEDY)
def mmd(
    rng: np.random.Generator,
    x: KernelsLike,
    y: KernelsLike,
    x_weights: Any = None,
    y_weights: Any = None,
    *,
    where_x: WhereLike = None,
    where_y: WhereLike = None,
    bandwidth: float | None = None,
    features: int = FEATURES,
) -> Any:
    """The squared maximum mean discrepancy for exp(-|x - y|^2 / (2 bandwidth^2)), in linear time.

    From random Fourier features: the mean over their draw is the value over all pairs of points, and
    the relative standard error falls as 1 / sqrt(features). 0 for equal samples, symmetric, never
    negative, at most 2. Two samples of one distribution give (1/n + 1/m) (1 - E k(X, X')). NaN for a NaN
    or infinite weight that counts. Runs on the host.

    **Arguments:**

    - `x`, `y`: kernels, as rows (n, d), weights (out, in, *spatial), or `Kernels` of equally many
      layers: one value a pair of layers.
    - `x_weights`, `y_weights`: of the rows; equal if not given.
    - `where_x`, `where_y`: mark the kernels that count; one mask a layer for `Kernels`.
    - `bandwidth`: in units of the points; `median_distance` of both samples together if not given.

    Source: Gretton et al., "A kernel two-sample test", 2012; Rahimi & Recht, "Random features for
    large-scale kernel machines", 2007.
    """

    def form(points: Points) -> Form:
        return mmd_form(rng, points, bandwidth=bandwidth, features=features)

    return _compared(form, x, y, x_weights, y_weights, where_x, where_y)


def sliced_wasserstein_form(
    rng: np.random.Generator, points: Points, *, slices: int = SLICES
) -> Form:
    """Return `sliced_wasserstein` over fixed points and directions, as a function of weights.

    The function takes rows of weight differences, each of sum 0, and gives one value a row in units of
    the points. Sorting is done once, so that a permutation costs one product. Runs on the host.
    """
    directions = rng.normal(size=(points.shape[1], slices))
    directions /= np.linalg.norm(directions, axis=0)
    positions = points @ directions
    order = np.argsort(positions, axis=0)
    steps = np.diff(np.take_along_axis(positions, order, axis=0), axis=0)

    def form(difference: np.ndarray) -> np.ndarray:
        along = (
            np.abs(np.cumsum(difference[:, rank], axis=1)[:, :-1]) @ step
            for rank, step in zip(order.T, steps.T, strict=True)
        )
        return sum(along, np.zeros(len(difference))) / slices

    return form


def energy_form(points: Points) -> Form:
    """Return `energy_distance` over fixed points, as a function of weights.

    The function takes rows of weight differences, each of sum 0, and gives one value a row in units of
    the points. It holds the distances of all pairs of up to 1,024 points; of more, blocks of rows are
    computed anew at every call. Runs on the host.
    """

    blocks = _blocks(len(points), lambda part: _distances(points[part], points))

    def form(difference: np.ndarray) -> np.ndarray:
        total = np.zeros(len(difference))
        for part, distances in blocks():
            total -= np.sum(difference[:, part] @ distances * difference, axis=1)
        return np.maximum(total, 0)

    return form


def mmd_form(
    rng: np.random.Generator,
    points: Points,
    *,
    bandwidth: float | None = None,
    features: int = FEATURES,
) -> Form:
    """Return `mmd` over fixed points and features, as a function of weights.

    The function takes rows of weight differences, each of sum 0, and gives one value a row. The cost is
    linear in the number of points. Points that are mostly equal give 0. Runs on the host.
    """
    bandwidth = median_distance(rng, points) if bandwidth is None else bandwidth
    if not bandwidth > 0:
        return lambda difference: np.zeros(len(difference))  # most points are one and the same
    frequencies = rng.normal(size=(points.shape[1], features)) / bandwidth
    blocks = _blocks(len(points), lambda part: _waves(points[part] @ frequencies))

    def form(difference: np.ndarray) -> np.ndarray:
        total = np.zeros((len(difference), 2 * features))
        for part, waves in blocks():
            total += difference[:, part] @ waves
        return np.sum(total**2, axis=1) / features

    return form


def median_distance(rng: np.random.Generator, points: Points, *, pairs: int = 20_000) -> float:
    """Return the median distance of random pairs of different points: the usual bandwidth of a kernel.

    In units of the points; 0 where most points are equal. 20,000 pairs place the median to a percent.
    Runs on the host.

    **Arguments:**

    - `pairs`: the number of random pairs.
    """
    n = len(points)
    first = rng.integers(n, size=pairs)
    second = (first + rng.integers(1, max(n, 2), size=pairs)) % n
    return float(np.median(np.linalg.norm(points[first] - points[second], axis=1)))


def shares(points: Points, weights: Weights | None) -> Weights:
    """Weights that sum to 1, equal ones if none are given. Raises ValueError for no points."""
    if not len(points):
        raise ValueError("expected samples of at least one kernel, got none")
    weights = np.ones(len(points)) if weights is None else weights
    return weights / np.sum(weights)


def _compared(
    make_form: Callable[[Points], Form],
    x: KernelsLike,
    y: KernelsLike,
    x_weights: Any,
    y_weights: Any,
    where_x: WhereLike,
    where_y: WhereLike,
) -> Any:
    def value(x: Any, y: Any, where_x: WhereLike, where_y: WhereLike) -> float:
        (a, a_weights), (b, b_weights) = (
            sample(x, x_weights, where_x),
            sample(y, y_weights, where_y),
        )
        difference = np.concatenate([shares(a, a_weights), -shares(b, b_weights)])
        points = np.concatenate([a, b])
        if not np.isfinite(points).all():
            return math.nan
        return float(make_form(points)(difference[None])[0])

    return by_layer_pair(value, x, y, where_x, where_y)


def _blocks(
    n: int, compute: Callable[[slice], np.ndarray]
) -> Callable[[], Iterable[tuple[slice, np.ndarray]]]:
    """`compute` of every block of `n` points, anew at every call; kept where one block holds all."""
    if n <= _ROWS:
        only = slice(0, n), compute(slice(0, n))
        return lambda: (only,)
    parts = [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
    return lambda: ((part, compute(part)) for part in parts)


def _waves(phases: Float[np.ndarray, "n features"]) -> Float[np.ndarray, "n 2*features"]:
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=1)


def _distances(x: Points, y: OtherPoints) -> Float[np.ndarray, "n m"]:
    # One tap at a time: the expansion of the square would lose the distances of near twins.
    squares = np.zeros((len(x), len(y)))
    for a, b in zip(x.T, y.T, strict=True):
        squares += np.subtract.outer(a, b) ** 2
    return np.sqrt(squares)
