"""Drift between two kernel sets in one call: pooled basis, fixed range, no scan."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._traced import on_host
from ..statistics import Basis, fit_basis, fixed_edges, merge_moments
from ..statistics.internal import host_moments
from ._divergence import probability
from ._drift import drift
from ._forms import BINS, Frame, is_array
from ._gaussian_frechet import normalized_moments
from ._kernel_histograms import hard_counts
from ._kernel_rows import KernelRows, kernel_rows


@on_host("use jf.drift(a, b, basis=..., edges=...) or a jf.Reference there")
def kernel_drift(a: Any, b: Any, *, basis: Basis | None = None, bins: int = BINS) -> float:
    """Return the drift D between two sets of raw kernels, in nats, over the fixed range of METHOD.

    0 for equal sets, symmetric, without an upper bound; two samples of one distribution give about
    `null_level`. Compiles for each number of kernels; the result is a number on the host. It does not run
    under jit, since it fits a basis on the host: use `drift` with a basis there.

    **Arguments:**

    - `a`, `b`: kernels: (n, d) rows, (out, in, *spatial) weights, or `Kernels` of one size.
    - `basis`: the shared basis; fitted to both sets together if not given.
    - `bins`: bins of each component's histogram.

    Raises ValueError for a set that is empty or not finite, for sets that do not vary, and for sets or a
    basis of different numbers of taps d. Raises TypeError under jit, and for kernels that are not of
    floating point.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jfilters as jf
    >>> import numpy as np
    >>> kernels = np.random.default_rng(0).normal(size=(100, 9)).astype(np.float32)
    >>> jf.kernel_drift(kernels, kernels)
    0.0
    """
    first, second = _checked(a, "first"), _checked(b, "second")
    _check_taps(first.kernels.shape[1], second.kernels.shape[1], basis)
    basis = _pooled_basis(first, second) if basis is None else basis
    edges = fixed_edges(len(basis.mean), bins)
    frame = Frame(basis, edges, basis.variance_ratio)
    p, q = (probability(np.asarray(hard_counts(x, frame)), edges) for x in (first, second))
    return float(drift(p, q, np.asarray(basis.variance_ratio, np.float64)))


def _checked(kernels: Any, name: str) -> KernelRows:
    if is_array(kernels) and kernels.ndim > 1 and not kernels.size:
        raise ValueError(f"expected kernels to compare, got none in the {name} set")
    rows = kernel_rows(kernels)
    if not jnp.isfinite(rows.kernels).all():
        raise ValueError(f"expected finite weights, got NaN or infinity in the {name} set")
    return rows


def _check_taps(first: int, second: int, basis: Basis | None) -> None:
    if first != second:
        raise ValueError(f"expected kernels of one size, got {first} and {second} taps")
    if basis is not None and basis.mean.shape[0] != first:
        raise ValueError(
            f"expected a basis of {first} taps, got a basis of {basis.mean.shape[0]} taps"
        )


def _pooled_basis(a: KernelRows, b: KernelRows) -> Basis:
    first, second = (host_moments(normalized_moments(rows)) for rows in (a, b))
    return fit_basis(merge_moments(first, second))
