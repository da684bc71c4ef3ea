"""The quality of every convolution layer of a network in memory, as one program for the device.

Kernels of all layers are measured together; only orthogonality takes a product for each distinct shape.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from ..kernels import Kernels
from ..statistics import (
    Basis,
    fixed_edges,
    max_abs,
    moments,
    orthogonality,
    randomness_threshold,
    sparse_mask,
)
from ..statistics.internal import coefficient_histograms, entropy_from_moments
from ._cosine_basis import cosine_basis
from ._kernels_of import kernels_of
from ._segments import Segments, merged, segmented

BINS = 70


class Measurement(eqx.Module):
    """The numbers of the layers of a network at one moment, in depth order; a pytree.

    - `names`, `n_kernels`: of each layer, static.
    - `variance_entropy` and its `variance_entropy_ratio` to the randomness threshold, `sparsity`,
      `orthogonality`: one value a layer, of its finite kernels; NaN where a layer is too small for it.
    - `n_nonfinite`: kernels with a NaN or infinite weight.
    - `histogram`: counts of the coefficients of normalized kernels in a basis, over the fixed range.
    """

    variance_entropy: Float[Array, " layers"]
    variance_entropy_ratio: Float[Array, " layers"]
    sparsity: Float[Array, " layers"]
    orthogonality: Float[Array, " layers"]
    n_nonfinite: Int32[Array, " layers"]
    histogram: Int32[Array, "layers d bins"]
    names: tuple[str, ...] = eqx.field(static=True)
    n_kernels: tuple[int, ...] = eqx.field(static=True)


def measure_layers(
    params: Any, *, spatial: tuple[int, ...] = (3, 3), basis: Basis | None = None
) -> Measurement:
    """Measure every convolution layer of one kernel size on the device; works under jit and scan.

    **Arguments:**

    - `params`: what `from_params` takes, or `Kernels`.
    - `spatial`: the kernel size.
    - `basis`: of the histograms; that of `cosine_basis` unless given.

    Raises ValueError if no layer has such kernels, and for a basis of another number of taps.
    """
    kernels = kernels_of(params, spatial)
    return measurement(kernels, checked_basis(basis, spatial))


def checked_basis(basis: Basis | None, spatial: tuple[int, ...]) -> Basis:
    """Return the basis to count in, which has as many taps as the kernels."""
    if basis is None:
        return cosine_basis(spatial)
    if len(basis.mean) != math.prod(spatial):
        raise ValueError(
            f"expected a basis of {math.prod(spatial)} taps, got a basis of {len(basis.mean)} taps"
        )
    return basis


def measurement(kernels: Kernels, basis: Basis) -> Measurement:
    """Measure the layers of kernels of one size, as `measure_layers` does."""
    n_kernels = tuple(math.prod(weight.shape[:2]) for weight in kernels.weights)
    numbers = _numbers(kernels.weights, basis)
    return Measurement(names=kernels.names, n_kernels=n_kernels, **numbers)


# Of weights alone: networks that differ in names share the compiled program.
@jax.jit
def _numbers(weights: tuple[Float[Array, "..."], ...], basis: Basis) -> dict[str, Array]:
    segments = segmented(weights)
    count = segments.sum_by_layer(jnp.sum(segments.valid, axis=1, dtype=jnp.int32))
    layer_max = segments.max_by_layer(_max_abs(segments))
    entropy = _entropy(segments, layer_max)
    n_kernels = jnp.asarray([math.prod(weight.shape[:2]) for weight in weights], jnp.int32)
    return {
        "variance_entropy": entropy,
        "variance_entropy_ratio": entropy / randomness_threshold(count, len(basis.mean)),
        "sparsity": _n_sparse(segments, layer_max) / count.astype(jnp.float32),
        "orthogonality": _orthogonality(weights),
        "n_nonfinite": n_kernels - count,
        "histogram": _histogram(segments, basis),
    }


def _max_abs(segments: Segments) -> Float[Array, " segments"]:
    return jax.vmap(lambda rows, mask: max_abs(rows, where=mask))(segments.kernels, segments.valid)


def _entropy(segments: Segments, layer_max: Float[Array, " layers"]) -> Float[Array, " layers"]:
    # By the layer's largest weight, so that squares neither overflow nor vanish.
    scales = segments.per_segment(jnp.where(layer_max > 0, layer_max, 1))
    scaled = segments.kernels / scales[:, None, None]
    of_segments = jax.vmap(lambda rows, mask: moments(rows, where=mask))(scaled, segments.valid)
    return jnp.asarray(entropy_from_moments(merged(of_segments, segments)))


def _n_sparse(segments: Segments, layer_max: Float[Array, " layers"]) -> Float[Array, " layers"]:
    sparse = jax.vmap(sparse_mask)(segments.kernels, segments.per_segment(layer_max))
    return segments.sum_by_layer(jnp.sum(sparse & segments.valid, axis=1, dtype=jnp.float32))


def _histogram(segments: Segments, basis: Basis) -> Int32[Array, "layers d bins"]:
    n, _, d = segments.kernels.shape
    kernels, valid = segments.kernels.reshape(-1, d), segments.valid.reshape(-1)
    edges = fixed_edges(d, BINS)
    low, high = float(edges[0]), float(edges[-1])
    counts, *_ = coefficient_histograms(
        kernels, basis, low=low, high=high, bins=BINS, parts=n, where=valid
    )
    return segments.sum_by_layer(counts)


def _orthogonality(weights: tuple[Float[Array, "..."], ...]) -> Float[Array, " layers"]:
    """Return the orthogonality of every layer; layers of one shape take one product."""
    places: dict[tuple[int, ...], list[int]] = {}
    for index, weight in enumerate(weights):
        places.setdefault(weight.shape, []).append(index)
    stacks = (jnp.stack([_finite(weights[i]) for i in group]) for group in places.values())
    values = jnp.concatenate([jax.vmap(orthogonality)(stack) for stack in stacks])
    return values[np.argsort(np.concatenate(list(places.values())))]


def _finite(weight: Float[Array, "out in *spatial"]) -> Float[Array, "out in *spatial"]:
    taps = tuple(range(2, weight.ndim))
    finite = jnp.isfinite(weight).all(axis=taps, keepdims=True)
    return jnp.where(finite, weight, 0).astype(jnp.float32)
