"""Count, mean and centered scatter of kernels: all that a covariance, a basis or an entropy needs.

A block's moments come from JAX in float32; blocks and layers merge exactly on the host in float64.
"""

from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ._arrays import RealArray, keep, namespace
from ._normalize import inverse_peaks


class Moments(eqx.Module):
    """The first two moments of a kernel set; leading axes stack several sets.

    `scatter` is the sum of outer products of the kernels less their mean.
    """

    count: Float[RealArray, "*sets"]
    mean: Float[RealArray, "*sets d"]
    scatter: Float[RealArray, "*sets d d"]


def moments(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Moments:
    """Moments of the valid kernels, centered before they are squared.

    Robust to an offset that dwarfs the spread. No valid kernel: all zero.
    """
    finite = keep(kernels, valid)
    center = jnp.sum(finite, axis=0) / jnp.maximum(jnp.sum(valid, dtype=kernels.dtype), 1)
    return _moments_about(center, finite, valid)


def normalized_moments(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Moments:
    """`moments` of normalized kernels, from raw ones that are finite, valid or not."""
    # A reciprocal is one rounding off `normalize`, which moments do not see, and twice as fast.
    inverse = inverse_peaks(kernels)
    # No normalized kernel is far from another: centering about one of them is as good as about
    # their mean, and saves a pass.
    one = jnp.argmax(valid)
    center = kernels[one] * inverse[one]
    return _moments_about(center, kernels * inverse[:, None], valid)


def centered_columns(
    kernels: Float[Array, "n d"], valid: Bool[Array, " n"], unit: Float[Array, ""]
) -> tuple[Float[Array, " d"], Float[Array, "n d+1"]]:
    """The mean of the valid kernels in units of `unit`, and what `column_moments` takes.

    For a block, where the kernels that do not count are known to be finite.
    """
    weight = valid.astype(kernels.dtype)
    # A product with a vector is a faster sum on CPU, and exact enough over the length of a block.
    total = jnp.matmul(weight, kernels, precision=jax.lax.Precision.HIGHEST)
    center = total / jnp.maximum(jnp.sum(weight), 1) / unit
    return center, _augmented(center, kernels * (1 / unit), valid)


def column_moments(
    center: Float[Array, " d"],
    columns: Float[Array, "n d+1"],
    subset: Bool[Array, " n"] | None = None,
) -> Moments:
    """`moments` of the kernels behind `centered_columns`, or of those of them that are in `subset`."""
    part = columns if subset is None else columns * subset.astype(columns.dtype)[:, None]
    return _from_gram(center, _product(columns, part))


def _moments_about(
    center: Float[Array, " d"], kernels: Float[Array, "n d"], valid: Bool[Array, " n"]
) -> Moments:
    whole = _augmented(center, kernels, valid)
    return _from_gram(center, _product(whole, whole))


def _augmented(
    center: Float[Array, " d"], kernels: Float[Array, "n d"], valid: Bool[Array, " n"]
) -> Float[Array, "n d+1"]:
    # With a column of ones, one dot over the native layout gives squares and what a long float32
    # sum left of the mean.
    weight = valid.astype(kernels.dtype)[:, None]
    columns = jnp.concatenate([(kernels - center[None]) * weight, weight], axis=1)
    return jax.lax.optimization_barrier(columns)


def _product(a: Float[Array, "n m"], b: Float[Array, "n m"]) -> Float[Array, "m m"]:
    return jnp.matmul(a.T, b, precision=jax.lax.Precision.HIGHEST)


def _from_gram(center: Float[Array, " d"], gram: Float[Array, "d+1 d+1"]) -> Moments:
    count = gram[-1, -1]
    rest = gram[-1, :-1] / jnp.maximum(count, 1)
    scatter = gram[:-1, :-1] - count * jnp.outer(rest, rest)
    mean = jnp.where(count > 0, center + rest, 0)
    return Moments(count=count, mean=mean, scatter=scatter)


def merge_moments(a: Moments, b: Moments) -> Moments:
    """The moments of two kernel sets together; both records NumPy or both JAX, stacked alike.

    Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", 1979.
    """
    xp = namespace(a.mean)
    count = a.count + b.count
    fraction = b.count / xp.maximum(count, 1)
    delta = b.mean - a.mean
    mean = a.mean + fraction[..., None] * delta
    between = (a.count * fraction)[..., None, None] * delta[..., :, None] * delta[..., None, :]
    return Moments(count=xp.asarray(count), mean=mean, scatter=a.scatter + b.scatter + between)


def covariance(moments: Moments) -> Float[RealArray, "*sets d d"]:
    """Unbiased covariance, scatter / (count - 1); zero for fewer than two kernels."""
    xp = namespace(moments.scatter)
    divisor = xp.maximum(moments.count - 1, 1)[..., None, None]
    enough = (moments.count >= 2)[..., None, None]
    return xp.where(enough, moments.scatter / divisor, xp.zeros_like(moments.scatter))


def host_moments(moments: Moments) -> Moments:
    """The same record as float64 NumPy arrays, in which merging loses nothing."""
    return cast(Moments, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), moments))
