"""Sums over kernels, many of them at once: the first pass of a scan spends most of its time here.

On CPU they are one reduction of many arrays. XLA makes one loop of it, which reads each kernel once,
computes shared terms once, and writes only the sums to memory.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._arrays import RealArray

MOST_TAPS = 16
"""Taps of a kernel up to which loops take them one by one; for more, matrix products are faster."""

STRETCHES = 2
"""Parts of a kernel set that one loop walks side by side.

There are more sums than registers, so each turn of the loop loads and stores them. With two stretches a
turn covers twice as many kernels.
"""


class WeightedPoints(NamedTuple):
    """Points whose gram is summed: each kernel times its factor, minus a center near all of them.

    `weight` is 1, or 0 for a kernel that does not count.
    """

    kernels: Float[Array, "*sets n d"]
    factor: Float[Array, "*sets n"]
    center: Float[Array, "*sets d"]
    weight: Float[Array, "*sets n"]


Terms = tuple[Sequence[Float[Array, "*sets n"]], Sequence[WeightedPoints]]
"""Plain terms to be summed, and point sets whose grams are summed; at least one point set."""


def sums(
    make_terms: Callable[..., Terms], *rows: Array, platform: str | None = None
) -> tuple[Float[Array, "*sets terms"], Float[Array, "*sets point_sets triangle"]]:
    """Sum plain terms over their last axis, and the `gram` of each weighted point set.

    As fast as it can be on CPU only where the compiler may change the order of a sum, as with the option
    `xla_cpu_enable_fast_math`.

    **Arguments:**

    - `make_terms`: returns the `Terms` of `rows`, or of some of the n. It has to make the same terms of a
        kernel in both cases.
    - `rows`: the kernels (*sets, n, d), then arrays (*sets, n) with further values of each kernel.
    - `platform`: static; the platform of the program. None traces the paths of all platforms, which takes
        half as long again.

    **Returns:** the sums of the terms, and the lower triangle of each gram, row by row: `symmetric` makes
    a matrix of it.
    """
    path = _in_one_loop if rows[0].shape[-1] <= MOST_TAPS else _set_by_set
    paths = {"cpu": path, "default": _separately}
    if platform is not None:
        return paths.get(platform, _separately)(make_terms, *rows)
    bound = {name: functools.partial(path, make_terms) for name, path in paths.items()}
    return jax.lax.platform_dependent(*rows, **bound)


def gram(
    points: Float[Array, "*sets n d"], weight: Float[Array, "*sets n"]
) -> Float[Array, "*sets d+1 d+1"]:
    """Inner products of the columns of weighted points and of their weights.

    With weights of 0 and 1 it holds squares, sums and the count. Grams about one center add up over parts
    of a set, and `moments_from_gram` takes their sum.
    """
    columns = jnp.concatenate([points * weight[..., None], weight[..., None]], axis=-1)
    # XLA on CPU otherwise recomputes the columns wherever the product reads them.
    columns = jax.lax.optimization_barrier(columns)
    return jnp.matmul(columns.mT, columns, precision=jax.lax.Precision.HIGHEST)


def total_gram(points: Float[Array, "*n d"], weight: Float[Array, "*n"]) -> Float[Array, "d+1 d+1"]:
    """Return the `gram` of all points, whatever axes they lie on, without moving them to one axis.

    Points on a mesh would be gathered for that.
    """
    if weight.ndim == 1:
        return gram(points, weight)
    columns = jnp.concatenate([points * weight[..., None], weight[..., None]], axis=-1)
    axes = tuple(range(weight.ndim))
    return jnp.tensordot(columns, columns, (axes, axes), precision=jax.lax.Precision.HIGHEST)


def symmetric(lower: Float[RealArray, "*sets triangle"]) -> Float[RealArray, "*sets m m"]:
    """Return the symmetric matrix whose lower triangle is given, row by row."""
    m = int(np.sqrt(2 * lower.shape[-1]))
    index = np.zeros((m, m), int)
    index[np.tril_indices(m)] = np.arange(lower.shape[-1])
    return lower[..., np.maximum(index, index.T)]


def _separately(make_terms: Callable[..., Terms], *rows: Array) -> tuple[Array, Array]:
    terms, point_sets = make_terms(*rows)
    totals = [jnp.sum(term, axis=-1) for term in terms]
    return _stacked(totals, point_sets), _grams_by_products(point_sets)


def _set_by_set(make_terms: Callable[..., Terms], *rows: Array) -> tuple[Array, Array]:
    terms, point_sets = make_terms(*rows)
    # Columns of all sets at once would leave the caches.
    sets = point_sets[0].weight.shape[:-1]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(sets) :]), list(point_sets))
    triangles = jax.lax.map(_grams_by_products, flat)
    totals = _stacked(_reduced(list(terms)), point_sets)
    return totals, triangles.reshape(*sets, *triangles.shape[1:])


def _grams_by_products(
    point_sets: Sequence[WeightedPoints],
) -> Float[Array, "*sets point_sets triangle"]:
    # XLA on CPU otherwise recomputes factors and weights for each tap.
    point_sets = jax.lax.optimization_barrier(list(point_sets))
    grams = [gram(_coordinates(points), points.weight) for points in point_sets]
    return _lower(jnp.stack(grams, axis=-3))


def _coordinates(points: WeightedPoints) -> Float[Array, "*sets n d"]:
    return points.kernels * points.factor[..., None] - points.center[..., None, :]


def _lower(grams: Float[Array, "*sets m m"]) -> Float[Array, "*sets triangle"]:
    row, column = np.tril_indices(grams.shape[-1])
    return grams[..., row, column]


def _in_one_loop(make_terms: Callable[..., Terms], *rows: Array) -> tuple[Array, Array]:
    axis = rows[0].ndim - 2
    times = 1 if rows[0].shape[axis] % STRETCHES else STRETCHES
    parts = zip(*(jnp.split(x, times, axis) for x in rows), strict=True)
    stretches = [make_terms(*part) for part in parts]
    terms = _added([terms for terms, _ in stretches])
    point_sets = stretches[0][1]
    grams = [
        _added([_products(points) for points in parts])
        for parts in zip(*(point_sets for _, point_sets in stretches), strict=True)
    ]
    totals = iter(_reduced([*terms, *(product for products in grams for product in products)]))
    plain = _stacked([next(totals) for _ in terms], point_sets)
    triangles = [jnp.stack([next(totals) for _ in products], axis=-1) for products in grams]
    return plain, jnp.stack(triangles, axis=-2)


def _added(stretches: Sequence[Sequence[Array]]) -> list[Array]:
    return [functools.reduce(jax.lax.add, terms) for terms in zip(*stretches, strict=True)]


def _stacked(
    values: list[Float[Array, "*sets"]], point_sets: Sequence[WeightedPoints]
) -> Float[Array, "*sets n"]:
    """Values along a new last axis, which is empty where there are none."""
    if not values:
        weight = point_sets[0].weight
        return jnp.zeros((*weight.shape[:-1], 0), weight.dtype)
    return jnp.stack(values, axis=-1)


def _products(points: WeightedPoints) -> list[Float[Array, "*sets n"]]:
    """Products of each column of a gram with itself and with the columns before it."""
    # A tap at a time: the factors of all taps at once would be written to memory and read again. Hundreds
    # of products are traced, and jax.lax traces each in a third of the time that operators take.
    taps = [_tap(points, tap) for tap in range(points.kernels.shape[-1])]
    columns = [*(jax.lax.mul(tap, points.weight) for tap in taps), points.weight]
    return [jax.lax.mul(a, b) for i, a in enumerate(columns) for b in columns[: i + 1]]


def _tap(points: WeightedPoints, tap: int) -> Float[Array, "*sets n"]:
    """One coordinate of all points."""
    values = jax.lax.index_in_dim(points.kernels, tap, axis=-1, keepdims=False)
    center = jax.lax.index_in_dim(points.center, tap, axis=-1)
    return jax.lax.mul(values, points.factor) - center


def _reduced(terms: list[Array]) -> list[Array]:
    if not terms:
        return []
    zeros = [jnp.zeros((), term.dtype) for term in terms]

    def add(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
        return list(map(jax.lax.add, a, b))

    return list(jax.lax.reduce(terms, zeros, add, (terms[0].ndim - 1,)))
