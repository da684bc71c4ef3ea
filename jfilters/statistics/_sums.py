"""Sums over kernels, many of them in one go: what the first pass of a scan spends its time on.

On CPU they are one reduction of many arrays. XLA makes one loop of it, which reads each kernel once,
computes what the sums share once, and writes nothing to memory but the sums.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._arrays import RealArray

MOST_TAPS = 16
"""Taps of a kernel up to which loops take them one by one; for more, products of matrices are faster."""

STRETCHES = 2
"""Of the kernels of a set, which one loop walks side by side.

There are more sums than registers: they are loaded and stored for each turn of the loop, with two stretches
for twice as many kernels.
"""


class Cloud(NamedTuple):
    """Points of which moments are wanted: kernels times a factor each, less a point near them.

    `weight` is 1, or 0 for a kernel that does not count.
    """

    kernels: Float[Array, "*sets n d"]
    factor: Float[Array, "*sets n"]
    center: Float[Array, "*sets d"]
    weight: Float[Array, "*sets n"]


Summands = tuple[Sequence[Float[Array, "*sets n"]], Sequence[Cloud]]
"""Terms to be added up, and clouds of which the gram is wanted; at least one."""


def sums(
    summands: Callable[..., Summands], *rows: Array
) -> tuple[Float[Array, "*sets terms"], Float[Array, "*sets clouds triangle"]]:
    """The sums of the terms over their last axis, and the `gram` of the points of the clouds.

    `summands` makes them of `rows`: the kernels (*sets, n, d), and arrays (*sets, n) of what else there is
    for each. It may be given some of the n at a time, and has to make the same of each kernel then. Of a
    gram the lower triangle is given, row by row: `symmetric` makes a matrix of it. As fast as it can be on
    CPU only where the compiler may change the order of a sum, as with the option
    `xla_cpu_enable_fast_math`.
    """
    few = rows[0].shape[-1] <= MOST_TAPS
    paths = {"cpu": _in_one_loop if few else _set_by_set, "default": _apart}
    bound = {name: functools.partial(path, summands) for name, path in paths.items()}
    return jax.lax.platform_dependent(*rows, **bound)


def gram(
    points: Float[Array, "*sets n d"], weight: Float[Array, "*sets n"]
) -> Float[Array, "*sets d+1 d+1"]:
    """The inner products of the columns of weighted points and of their weights.

    With weights of 0 and 1: squares, sums and the count. Those about one center add up, part by part,
    and `moments_from_gram` takes their sum.
    """
    columns = jnp.concatenate([points * weight[..., None], weight[..., None]], axis=-1)
    # Else XLA on CPU computes the columns anew wherever the product takes them.
    columns = jax.lax.optimization_barrier(columns)
    return jnp.matmul(columns.mT, columns, precision=jax.lax.Precision.HIGHEST)


def symmetric(lower: Float[RealArray, "*sets triangle"]) -> Float[RealArray, "*sets m m"]:
    """The matrix of which the lower triangle is given, row by row."""
    m = int(np.sqrt(2 * lower.shape[-1]))
    places = np.zeros((m, m), int)
    places[np.tril_indices(m)] = np.arange(lower.shape[-1])
    return lower[..., np.maximum(places, places.T)]


def _apart(summands: Callable[..., Summands], *rows: Array) -> tuple[Array, Array]:
    terms, clouds = summands(*rows)
    return _last([jnp.sum(term, axis=-1) for term in terms], clouds), _by_products(clouds)


def _set_by_set(summands: Callable[..., Summands], *rows: Array) -> tuple[Array, Array]:
    terms, clouds = summands(*rows)
    # Columns of all sets at once would leave the caches.
    sets = clouds[0].weight.shape[:-1]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(sets) :]), list(clouds))
    triangles = jax.lax.map(_by_products, flat)
    return _last(_reduced(list(terms)), clouds), triangles.reshape(*sets, *triangles.shape[1:])


def _by_products(clouds: Sequence[Cloud]) -> Float[Array, "*sets clouds triangle"]:
    # Else XLA on CPU computes factors and weights anew for each tap.
    clouds = jax.lax.optimization_barrier(list(clouds))
    grams = jnp.stack([gram(_points(cloud), cloud.weight) for cloud in clouds], axis=-3)
    return _lower(grams)


def _points(cloud: Cloud) -> Float[Array, "*sets n d"]:
    return cloud.kernels * cloud.factor[..., None] - cloud.center[..., None, :]


def _lower(grams: Float[Array, "*sets m m"]) -> Float[Array, "*sets triangle"]:
    row, column = np.tril_indices(grams.shape[-1])
    return grams[..., row, column]


def _in_one_loop(summands: Callable[..., Summands], *rows: Array) -> tuple[Array, Array]:
    axis = rows[0].ndim - 2
    times = 1 if rows[0].shape[axis] % STRETCHES else STRETCHES
    parts = zip(*(jnp.split(x, times, axis) for x in rows), strict=True)
    stretches = [summands(*part) for part in parts]
    terms = _added([terms for terms, _ in stretches])
    clouds = stretches[0][1]
    grams = [
        _added([_products(cloud) for cloud in same])
        for same in zip(*(clouds for _, clouds in stretches), strict=True)
    ]
    found = iter(_reduced([*terms, *(product for some in grams for product in some)]))
    plain = _last([next(found) for _ in terms], clouds)
    triangles = [jnp.stack([next(found) for _ in some], axis=-1) for some in grams]
    return plain, jnp.stack(triangles, axis=-2)


def _added(stretches: Sequence[Sequence[Array]]) -> list[Array]:
    return [functools.reduce(operator.add, same) for same in zip(*stretches, strict=True)]


def _last(values: list[Float[Array, "*sets"]], clouds: Sequence[Cloud]) -> Float[Array, "*sets n"]:
    """Values along a new last axis, of which there may be none."""
    if not values:
        return jnp.zeros((*clouds[0].weight.shape[:-1], 0), clouds[0].weight.dtype)
    return jnp.stack(values, axis=-1)


def _products(cloud: Cloud) -> list[Float[Array, "*sets n"]]:
    """Those of each column of a gram with itself and with the columns before it."""
    # A tap at a time: the factors of all taps at once would be written to memory and read again.
    taps = [
        cloud.kernels[..., tap] * cloud.factor - cloud.center[..., tap, None]
        for tap in range(cloud.kernels.shape[-1])
    ]
    columns = [*(tap * cloud.weight for tap in taps), cloud.weight]
    return [a * b for i, a in enumerate(columns) for b in columns[: i + 1]]


def _reduced(terms: list[Array]) -> list[Array]:
    if not terms:
        return []
    zeros = [jnp.zeros((), term.dtype) for term in terms]

    def add(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
        return [x + y for x, y in zip(a, b, strict=True)]

    return list(jax.lax.reduce(terms, zeros, add, (terms[0].ndim - 1,)))
