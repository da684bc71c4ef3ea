"""L1 and L2 norms of a layer, raw and standardized."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._arrays import defined, rounding
from ._inputs import KernelsLike, WhereLike, over_layers
from ._masks import keep, largest_abs, positive_or_one


class Norms(NamedTuple):
    """Norms of all weights of a layer, as they are and standardized.

    Standardized: after a mean of 0 and an (unbiased) standard deviation of 1. NaN for fewer than
    two weights and for equal weights. One value a layer, or one.
    """

    l1: Float[Array, "*layers"]
    l2: Float[Array, "*layers"]
    l1_standardized: Float[Array, "*layers"]
    l2_standardized: Float[Array, "*layers"]


def norms(kernels: KernelsLike, *, where: WhereLike = None) -> Norms:
    """Return the norms of the kernels that count, taken as one vector of weights.

    L1 and L2 scale with the weights; the standardized ones do not, and are NaN for fewer than two
    weights and for equal ones. All are NaN for a NaN or infinite weight that counts. Works under jit,
    vmap and grad.

    **Arguments:**

    - `kernels`: rows (n, d), a weight (out, in, *spatial), or `Kernels`: one value a layer.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`.

    Source: Gavrikov & Keuper, torchconvquality 0.4.
    """
    return over_layers(_of_rows, kernels, where, jnp, on_mesh=True)


def _of_rows(kernels: Float[Array, "*n d"], where: Bool[Array, "*n"]) -> Norms:
    # So that no square overflows or vanishes; the results do not depend on it.
    largest, finite = largest_abs(jax.lax.stop_gradient(kernels))
    scale = positive_or_one(largest)
    weights = jnp.where(finite, kernels, 0) / scale
    count = jnp.sum(where, dtype=kernels.dtype) * kernels.shape[-1]
    centered = keep(weights - jnp.sum(weights) / positive_or_one(count), where)
    deviation = _l2(centered) / jnp.sqrt(positive_or_one(count - 1))
    # A spread that is rounding of the mean, in weights of at most 1, is no spread.
    varies = finite & (count >= 2) & (deviation > rounding(kernels))
    safe = jnp.where(varies, deviation, 1)
    return Norms(
        l1=defined(finite, scale * _l1(weights)),
        l2=defined(finite, scale * _l2(weights)),
        l1_standardized=defined(varies, _l1(centered) / safe),
        l2_standardized=defined(varies, _l2(centered) / safe),
    )


def _l1(weights: Float[Array, "*n d"]) -> Float[Array, ""]:
    return jnp.sum(jnp.abs(weights))


def _l2(weights: Float[Array, "*n d"]) -> Float[Array, ""]:
    squares = jnp.sum(weights**2)
    return jnp.where(squares > 0, jnp.sqrt(positive_or_one(squares)), 0)
