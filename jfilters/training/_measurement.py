"""The quality and the histograms of all convolution layers of a network, as one program for the device."""

import math
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int32

from ..kernels import Kernels
from ..statistics import Basis, fixed_edges
from ..statistics.internal import Segments, coefficient_histograms, of_one_size, segmented
from ._cosine_basis import cosine_basis
from ._kernels_of import kernels_of

BINS = 70

_OF_QUALITY = (
    *("variance_entropy", "variance_entropy_ratio", "sparsity", "orthogonality", "n_nonfinite"),
)


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
    numbers = of_one_size(weights, segments)
    columns = {field: numbers[field] for field in _OF_QUALITY}
    return columns | {"histogram": _histogram(segments, basis)}


def _histogram(segments: Segments, basis: Basis) -> Int32[Array, "layers d bins"]:
    n, _, d = segments.kernels.shape
    kernels, valid = segments.kernels.reshape(-1, d), segments.valid.reshape(-1)
    edges = fixed_edges(d, BINS)
    low, high = float(edges[0]), float(edges[-1])
    counts, *_ = coefficient_histograms(
        kernels, basis, low=low, high=high, bins=BINS, parts=n, where=valid
    )
    return segments.sum_by_layer(counts)
