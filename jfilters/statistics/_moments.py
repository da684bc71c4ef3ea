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
from ._sums import gram


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
    weight = valid.astype(kernels.dtype)
    return moments_from_gram(center, gram(finite - center[None], weight))


def moments_from_gram(
    center: Float[RealArray, "*sets d"], gram: Float[RealArray, "*sets d+1 d+1"]
) -> Moments:
    """The moments behind the `gram` of kernels less `center`; both NumPy or both JAX.

    The center may be any point that is not far from the kernels beside their spread.
    """
    xp = namespace(gram)
    count = gram[..., -1, -1]
    rest = gram[..., -1, :-1] / xp.maximum(count, 1)[..., None]
    between = count[..., None, None] * rest[..., :, None] * rest[..., None, :]
    mean = xp.where((count > 0)[..., None], center + rest, xp.zeros_like(rest))
    return Moments(count=count, mean=mean, scatter=gram[..., :-1, :-1] - between)


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
