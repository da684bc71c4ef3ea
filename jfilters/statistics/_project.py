"""Projection of normalized kernels on a basis, on the device."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._basis import Basis
from ._inputs import KernelsLike, WhereLike, by_layer, is_layered, layer_rows
from ._masks import keep
from ._meshes import automatic, spread


def project(kernels: KernelsLike, basis: Basis, *, where: WhereLike = None) -> Any:
    """Return the coefficients of normalized kernels in `basis`: (kernels - mean) components^T.

    Rows (n, d), one column a component, in units of a normalized weight. Works under jit, vmap and
    grad, at full float32 precision also on devices that multiply in less.

    **Arguments:**

    - `kernels`: normalized, as rows (n, d), a weight (out, in, *spatial), or `Kernels`: a tuple with
      the rows of each layer.
    - `basis`: of as many taps as the kernels have.
    - `where`: marks the kernels that count; the coefficients of others are 0.
    """
    if is_layered(kernels):
        return tuple(by_layer(lambda weight, mask: _projected(weight, mask, basis), kernels, where))
    return _projected(kernels, where, basis)


def _projected(weight: KernelsLike, where: WhereLike, basis: Basis) -> Float[Array, "n d"]:
    return automatic(lambda array: _coefficients(array, where, basis), weight)


def _coefficients(weight: KernelsLike, where: WhereLike, basis: Basis) -> Float[Array, "n d"]:
    # Rows can be sharded over out alone.
    kernels, counted = layer_rows(spread(weight, axis=0), where, jnp)
    mean, components = (jnp.asarray(x, kernels.dtype) for x in (basis.mean, basis.components))
    centered = kernels - mean[None]
    if where is not None:
        centered = keep(centered, counted)
    return jnp.matmul(centered, components.T, precision=jax.lax.Precision.HIGHEST)
