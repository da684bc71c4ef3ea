"""Count, mean and centered scatter of kernels: all that a covariance, a basis or an entropy needs.

A block's moments come from JAX in float32; blocks and layers merge exactly on the host in float64.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._arrays import RealArray, namespace


class Moments(NamedTuple):
    """The first two moments of a kernel set; leading axes stack several sets.

    `scatter` is the sum of outer products of the kernels less their mean.
    """

    count: Float[RealArray, "*sets"]  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Float[RealArray, "*sets d"]
    scatter: Float[RealArray, "*sets d d"]


def moments_from_gram(
    center: Float[RealArray, "*sets d"], gram: Float[RealArray, "*sets d+1 d+1"]
) -> Moments:
    """Return the moments behind the `gram` of kernels less `center`; both NumPy or both JAX.

    The center may be any point that is not far from the kernels beside their spread. The last row and
    column of a gram are the sums of the points and their count. Leading axes stack. JAX arrays work
    under jit and vmap.
    """
    xp = namespace(gram)
    count = gram[..., -1, -1]
    shift = gram[..., -1, :-1] / xp.maximum(count, 1)[..., None]
    between = count[..., None, None] * shift[..., :, None] * shift[..., None, :]
    mean = xp.where((count > 0)[..., None], center + shift, xp.zeros_like(shift))
    return Moments(count=count, mean=mean, scatter=gram[..., :-1, :-1] - between)


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Merge the moments of two kernel sets; both records NumPy or both JAX, stacked alike.

    Exact but for rounding: in float64, as `host_moments` gives them, any order of merging gives the same
    moments. A set of no kernels changes nothing. JAX records work under jit and vmap.

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
    """Return the unbiased covariance, scatter / (count - 1); zero for fewer than two kernels.

    In squared units of the kernels. Leading axes of the moments stack. NumPy moments are computed on the
    host; JAX moments work under jit, vmap and grad.
    """
    xp = namespace(moments.scatter)
    divisor = xp.maximum(moments.count - 1, 1)[..., None, None]
    enough = (moments.count >= 2)[..., None, None]
    return xp.where(enough, moments.scatter / divisor, xp.zeros_like(moments.scatter))


def host_moments(moments: Moments) -> Moments:
    """Return the same record as float64 NumPy arrays, in which merging loses nothing.

    Waits for the device where the arrays are JAX arrays and copies them to the host; NumPy arrays of
    float64 are taken as they are. Counts become float64 too. Imports no compiler.
    """
    return Moments(*(np.asarray(leaf, np.float64) for leaf in moments))
