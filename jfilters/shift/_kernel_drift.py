"""Drift between two kernel sets in one call: pooled basis, fixed range, no scan."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from ..statistics import (
    Basis,
    Moments,
    coefficient_histogram,
    fit_basis,
    fixed_edges,
    merge_moments,
    moments,
    normalize,
)
from ..statistics.internal import RealArray, host_moments
from ._divergence import drift, probability


def kernel_drift(
    a: Float[RealArray, "n d"],
    b: Float[RealArray, "m e"],
    *,
    basis: Basis | None = None,
    bins: int = 70,
) -> float:
    """Return the drift D between two sets of raw kernels, in nats, over the fixed range of METHOD.

    0 for equal sets, symmetric, without an upper bound; two samples of one distribution give about
    `null_level`. Compiles for each number of kernels; the result is a number on the host.

    **Arguments:**

    - `a`, `b`: kernels, one a row.
    - `basis`: the shared basis; fitted to both sets together if not given.
    - `bins`: bins of each component's histogram.

    Raises ValueError for a set that is empty or not finite, for sets that do not vary, and for sets
    or a basis of different numbers of taps d.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jfilters as jf
    >>> import numpy as np
    >>> kernels = np.random.default_rng(0).normal(size=(100, 9)).astype(np.float32)
    >>> jf.kernel_drift(kernels, kernels)
    0.0
    """
    first, second = _checked(a, "first"), _checked(b, "second")
    _check_taps(first.shape[1], second.shape[1], basis)
    basis = _pooled_basis(first, second) if basis is None else basis
    edges = fixed_edges(first.shape[1], bins)
    p, q = (probability(_counts(kernels, basis, edges), edges) for kernels in (first, second))
    return float(drift(p, q, np.asarray(basis.variance_ratio, np.float64)))


def _checked(kernels: Float[RealArray, "n d"], name: str) -> Float[Array, "n d"]:
    kernels = jnp.asarray(kernels, jnp.float32)
    if not len(kernels):
        raise ValueError(f"expected kernels to compare, got none in the {name} set")
    if not jnp.isfinite(kernels).all():
        raise ValueError(f"expected finite weights, got NaN or infinity in the {name} set")
    return kernels


def _check_taps(first: int, second: int, basis: Basis | None) -> None:
    if first != second:
        raise ValueError(f"expected kernels of one size, got {first} and {second} taps")
    if basis is not None and basis.mean.shape[0] != first:
        raise ValueError(
            f"expected a basis of {first} taps, got a basis of {basis.mean.shape[0]} taps"
        )


def _pooled_basis(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Basis:
    first, second = (host_moments(_normalized_moments(kernels)) for kernels in (a, b))
    return fit_basis(merge_moments(first, second))


@jax.jit
def _normalized_moments(kernels: Float[Array, "n d"]) -> Moments:
    return moments(normalize(kernels))


def _counts(
    kernels: Float[Array, "n d"], basis: Basis, edges: Float[np.ndarray, " edges"]
) -> Int32[np.ndarray, "d bins"]:
    low, high, bins = float(edges[0]), float(edges[-1]), len(edges) - 1
    counts, _ = _histogram(kernels, basis, low=low, high=high, bins=bins)
    return np.asarray(counts)


_histogram = jax.jit(coefficient_histogram, static_argnames=("low", "high", "bins"))
