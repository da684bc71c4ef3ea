"""L1 and L2 norms of a layer, raw and standardized."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._arrays import ROUNDING
from ._masks import keep, positive_or_one
from ._normalize import max_abs


class Norms(eqx.Module):
    """Norms of all weights of a layer, as they are and standardized.

    Standardized: after a mean of 0 and an (unbiased) standard deviation of 1. NaN for fewer than
    two weights and for equal weights.
    """

    l1: Float[Array, ""]
    l2: Float[Array, ""]
    l1_standardized: Float[Array, ""]
    l2_standardized: Float[Array, ""]


def norms(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Norms:
    """Return the norms of the valid kernels, taken as one vector of weights.

    Works under jit, vmap and grad. L1 and L2 scale with the weights; the standardized ones do not, and
    are NaN for fewer than two weights and for equal ones.

    Source: Gavrikov & Keuper, torchconvquality 0.4.
    """
    # So that no square overflows or vanishes; the results do not depend on it.
    scale = jax.lax.stop_gradient(positive_or_one(max_abs(kernels, valid)))
    weights = keep(kernels, valid) / scale
    count = jnp.sum(valid, dtype=kernels.dtype) * kernels.shape[1]
    centered = keep(weights - jnp.sum(weights) / positive_or_one(count), valid)
    deviation = _l2(centered) / jnp.sqrt(positive_or_one(count - 1))
    # A spread that is rounding of the mean, in weights of at most 1, is no spread.
    varies = (count >= 2) & (deviation > ROUNDING)
    safe = jnp.where(varies, deviation, 1)
    return Norms(
        l1=scale * _l1(weights),
        l2=scale * _l2(weights),
        l1_standardized=jnp.where(varies, _l1(centered) / safe, jnp.nan),
        l2_standardized=jnp.where(varies, _l2(centered) / safe, jnp.nan),
    )


def _l1(weights: Float[Array, "n d"]) -> Float[Array, ""]:
    return jnp.sum(jnp.abs(weights))


def _l2(weights: Float[Array, "n d"]) -> Float[Array, ""]:
    squares = jnp.sum(weights**2)
    return jnp.where(squares > 0, jnp.sqrt(positive_or_one(squares)), 0)
