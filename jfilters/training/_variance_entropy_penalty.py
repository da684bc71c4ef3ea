"""A differentiable penalty on kernels of one layer that use few of the directions they could use."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..statistics import Moments, covariance, max_abs, moments
from ..statistics.internal import rounding
from ._layer_mean import Weight, layer_mean


def variance_entropy_penalty(weight_or_params: Any) -> Float[Array, ""]:
    """1 - H2 / log10 d, H2 the Renyi entropy of order 2 of the variance spectrum; the mean over layers.

    H2 = -log10(sum p_i^2), p as for the variance entropy H, is at most H, and equals it where all variance
    is even or along one line: raising it raises H. 0 where every direction carries equal variance, 1 where
    all kernels lie on one line or are equal; the scale of a layer does not count. sum p_i^2 is
    trace(C^2) / trace(C)^2, so that no eigenvalue is computed, and the gradient is finite also where
    eigenvalues are equal or zero. A layer of a single kernel gives 0.

    **Arguments:**

    - `weight_or_params`: a weight (out, in, *spatial), or parameters as `from_params` takes them, of which
      convolutions larger than 1x1 count.

    Raises ValueError for parameters without a convolution, and for an array that is no such weight.

    Source: variance entropy after Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331; this form derived for
    this project.
    """
    return layer_mean(_uneven, weight_or_params)


def _uneven(weight: Weight) -> Float[Array, ""]:
    d = math.prod(weight.shape[2:])
    kernels = weight.reshape(-1, d)
    if len(kernels) < 2:
        return jnp.zeros((), weight.dtype)
    scaled = _scaled_moments(kernels)
    spread = jnp.asarray(covariance(scaled))
    variance = jnp.trace(spread)
    # Equal kernels vary by rounding of their mean alone: they have no direction to follow.
    noise = rounding(spread) ** 2 * (jnp.sum(jnp.asarray(scaled.mean) ** 2) + variance)
    varies = ~(variance <= noise)  # a NaN has to stay one
    evenness = spread / jnp.where(varies, variance, 1)
    purity = jnp.where(varies, jnp.sum(evenness**2), 1)
    return jnp.log(d * purity) / math.log(d)


def _scaled_moments(kernels: Float[Array, "n d"]) -> Moments:
    # So that no square overflows or vanishes; neither the result nor its gradient depends on it.
    largest = jax.lax.stop_gradient(max_abs(kernels))
    return moments(kernels / jnp.where(largest > 0, largest, 1))
