"""Variance entropy of the kernels of one layer, on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._entropy import entropy_from_moments
from ._kernel_moments import moments
from ._masks import keep, positive_or_one
from ._normalize import max_abs


def variance_entropy(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Float[Array, ""]:
    """Return the entropy, to base 10, of the variance spectrum of one layer's raw kernels.

    0 when all kernels lie on one line or are equal; log10(d) when every direction carries equal
    variance. Scale-free. NaN for fewer than two valid kernels. For the clean variant, take sparse
    kernels out of `valid`. Works under jit, vmap and grad.

    **Arguments:**

    - `kernels`, `valid`: raw kernels of one layer, one a row, and the mask of those that count.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> kernels = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(float(jf.variance_entropy(kernels, jnp.ones(4, bool))), 3)
    0.301
    """
    # Divided by the layer's largest weight, so that squares neither overflow nor vanish; the result
    # does not depend on that divisor, so neither does the gradient.
    scale = jax.lax.stop_gradient(positive_or_one(max_abs(kernels, valid)))
    scaled = keep(kernels, valid) / scale
    return jnp.asarray(entropy_from_moments(moments(scaled, valid)))
