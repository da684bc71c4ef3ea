"""Variance entropy of the kernels of one layer, on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._arrays import defined
from ._entropy import spread_entropy
from ._inputs import KernelsLike, WhereLike, over_layers
from ._kernel_moments import row_moments
from ._masks import largest_abs, positive_or_one


def variance_entropy(kernels: KernelsLike, *, where: WhereLike = None) -> Float[Array, "*layers"]:
    """Return the entropy, to base 10, of the variance spectrum of one layer's raw kernels.

    0 when all kernels lie on one line or are equal; log10(d) when every direction carries equal
    variance. Scale-free. NaN for fewer than two kernels, and for a NaN or infinite weight that counts.
    For the clean variant take sparse kernels out by `where`. In float32, or float64 for float64
    kernels. Works under jit, vmap and grad.

    **Arguments:**

    - `kernels`: raw, as rows (n, d), a weight (out, in, *spatial), or `Kernels`: one value a layer.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> kernels = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(float(jf.variance_entropy(kernels)), 3)
    0.301
    >>> float(jf.variance_entropy(kernels, where=jnp.array([True, True, False, False])))
    0.0
    """
    return over_layers(_of_rows, kernels, where, jnp, on_mesh=True)


def _of_rows(kernels: Float[Array, "*n d"], where: Bool[Array, "*n"]) -> Float[Array, ""]:
    # Divided by the layer's largest weight, so that squares neither overflow nor vanish; the result
    # does not depend on that divisor, so neither does the gradient.
    largest, finite = largest_abs(jax.lax.stop_gradient(kernels))
    scaled = jnp.where(finite, kernels, 0) / positive_or_one(largest)
    moments = row_moments(scaled, where)
    return defined(finite & (moments.count >= 2), spread_entropy(moments))
