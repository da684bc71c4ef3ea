"""The Frechet distance on the device, with the gradient in closed form."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..statistics import Moments, covariance
from ..statistics.internal import is_layered, layer_masks, moments_from_gram
from ._kernel_rows import KernelRows, kernel_rows
from ._soft_histogram import unit_kernels

_HIGHEST = jax.lax.Precision.HIGHEST


@jax.jit
def normalized_moments(rows: KernelRows) -> Moments:
    """Return the moments of normalized kernels, with a gradient that is always finite."""
    weight = rows.is_counted.astype(rows.kernels.dtype)
    unit = unit_kernels(jnp.where(rows.is_counted[:, None], rows.kernels, 0))
    center = jnp.sum(unit, axis=0) / jnp.maximum(jnp.sum(weight), 1)
    points = jnp.concatenate([unit - center[None], jnp.ones_like(weight)[:, None]], axis=1)
    gram = jnp.matmul((points * weight[:, None]).T, points, precision=_HIGHEST)
    return moments_from_gram(center, gram)


def moments_in(kernels: Any, where: Any) -> Moments:
    """Return the `normalized_moments` of rows or of a weight, or stacked ones of the layers of `Kernels`.

    Raises ValueError for layers of several sizes, and for another number of masks than layers.
    """
    if not is_layered(kernels):
        return normalized_moments(kernel_rows(kernels, where=where))
    pairs = list(zip(kernels.weights, layer_masks(where, len(kernels.weights)), strict=True))
    if len({math.prod(weight.shape[2:]) for weight in kernels.weights}) != 1:
        raise ValueError(
            "expected layers of one kernel size; choose with kernels.select(spatial=...)"
        )
    layers = [normalized_moments(kernel_rows(weight, where=mask)) for weight, mask in pairs]
    return jax.tree.map(lambda *parts: jnp.stack(parts), *layers)


def _with_axes(moments: Moments, axes: int) -> Moments:
    """Return the moments as JAX arrays with at least so many leading axes."""
    missing = (1,) * (axes - moments.mean.ndim + 1)
    return Moments(*(jnp.asarray(leaf).reshape(missing + jnp.shape(leaf)) for leaf in moments))


@jax.jit
def gaussian_frechet(a: Moments, b: Moments) -> Float[Array, "*sets"]:
    """Return `frechet` of moments as JAX arrays; works under jit, vmap and grad."""
    axes = max(a.mean.ndim, b.mean.ndim) - 1
    a, b = _with_axes(a, axes), _with_axes(b, axes)
    first, second = (jnp.asarray(covariance(moments)) for moments in (a, b))
    means = jnp.sum(jnp.square(jnp.asarray(a.mean - b.mean)), axis=-1)
    traces = jnp.trace(first + second, axis1=-2, axis2=-1)
    return means + jnp.maximum(traces - 2 * root_trace(first, second), 0)


@jax.custom_jvp
def root_trace(
    first: Float[Array, "*#sets d d"], second: Float[Array, "*#sets d d"]
) -> Float[Array, "*sets"]:
    """Return tr((A B)^(1/2)) of two covariances.

    Its derivative is that of the closed form: an eigen-decomposition has none where eigenvalues are equal.
    """
    root = _power(first, 0.5)
    values = jnp.linalg.eigvalsh(_product(root, second, root))
    return jnp.sum(jnp.sqrt(jnp.maximum(values, 0)), axis=-1)


@root_trace.defjvp
def _root_trace_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (first, second), (d_first, d_second) = primals, tangents
    of_first, of_second = _transport(second, first), _transport(first, second)
    change = jnp.sum(of_first * d_first + of_second * d_second, axis=(-2, -1)) / 2
    return root_trace(first, second), change


def _transport(
    first: Float[Array, "*#sets d d"], second: Float[Array, "*#sets d d"]
) -> Float[Array, "*sets d d"]:
    """Return A^(1/2) (A^(1/2) B A^(1/2))^(-1/2) A^(1/2); directions without variance stay without."""
    root = _power(first, 0.5)
    return _product(root, _power(_product(root, second, root), -0.5), root)


def _power(symmetric: Float[Array, "*sets d d"], exponent: float) -> Float[Array, "*sets d d"]:
    """Return a power of positive semi-definite matrices; the pseudo-inverse for negative exponents."""
    values, vectors = jnp.linalg.eigh(symmetric)
    floor = 4 * symmetric.shape[-1] * jnp.finfo(values.dtype).eps * values[..., -1:]
    is_positive = values > jnp.maximum(floor, jnp.finfo(values.dtype).tiny)
    powers = jnp.where(is_positive, jnp.where(is_positive, values, 1) ** exponent, 0)
    return jnp.matmul(vectors * powers[..., None, :], vectors.mT, precision=_HIGHEST)


def _product(*matrices: Float[Array, "*#sets d d"]) -> Float[Array, "*sets d d"]:
    product = matrices[0]
    for matrix in matrices[1:]:
        product = jnp.matmul(product, matrix, precision=_HIGHEST)
    return product
