"""Projection of normalized kernels on a basis, on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._basis import Basis


def project(kernels: Float[Array, "n d"], basis: Basis) -> Float[Array, "n d"]:
    """Return the coefficients of normalized kernels in `basis`: (kernels - mean) components^T.

    Works under jit, vmap and grad, at full float32 precision also on devices that multiply in less.
    Coefficients are in units of a normalized weight, one column a component.
    """
    mean, components = (jnp.asarray(x, kernels.dtype) for x in (basis.mean, basis.components))
    return jnp.matmul(kernels - mean[None], components.T, precision=jax.lax.Precision.HIGHEST)
