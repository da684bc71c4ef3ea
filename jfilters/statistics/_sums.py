"""Sums over kernels, many of them in one go: what the first pass of a scan spends its time on.

On CPU they are one reduction of many arrays. XLA makes one loop of it, which reads each kernel once,
computes what the sums share once, and writes nothing to memory but the sums.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._arrays import RealArray

MOST_TAPS = 16
"""Taps of a kernel up to which loops take them one by one; for more, products of matrices are faster."""


class Cloud(NamedTuple):
    """Points of which moments are wanted: kernels times a factor each, less a point near them.

    `weight` is 1, or 0 for a kernel that does not count.
    """

    kernels: Float[Array, "*sets n d"]
    factor: Float[Array, "*sets n"]
    center: Float[Array, "*sets d"]
    weight: Float[Array, "*sets n"]


def sums(
    terms: Sequence[Float[Array, "*sets n"]], clouds: Sequence[Cloud]
) -> tuple[Float[Array, "*sets terms"], Float[Array, "*sets clouds triangle"]]:
    """The sums of some arrays over their last axis, and the `gram` of the points of some clouds.

    Of a gram the lower triangle is given, row by row: `symmetric` makes a matrix of it. At least one cloud.
    As fast as it can be on CPU only where the compiler may change the order of a sum, as with the option
    `xla_cpu_enable_fast_math`.
    """
    few = all(cloud.kernels.shape[-1] <= MOST_TAPS for cloud in clouds)
    on_cpu = _in_one_loop if few else _set_by_set
    return jax.lax.platform_dependent(list(terms), list(clouds), cpu=on_cpu, default=_apart)


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


def _apart(terms: Sequence[Array], clouds: Sequence[Cloud]) -> tuple[Array, Array]:
    return _last([jnp.sum(term, axis=-1) for term in terms], clouds), _by_products(clouds)


def _set_by_set(terms: Sequence[Array], clouds: Sequence[Cloud]) -> tuple[Array, Array]:
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


def _in_one_loop(terms: Sequence[Array], clouds: Sequence[Cloud]) -> tuple[Array, Array]:
    products = [_products(cloud) for cloud in clouds]
    found = iter(_reduced([*terms, *(product for some in products for product in some)]))
    plain = _last([next(found) for _ in terms], clouds)
    triangles = [jnp.stack([next(found) for _ in some], axis=-1) for some in products]
    return plain, jnp.stack(triangles, axis=-2)


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
