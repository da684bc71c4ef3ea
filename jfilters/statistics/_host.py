"""NumPy twins of the device statistics, for a few layers: XLA compiles longer than they compute.

Each function runs on the host and imports no compiler. tests/statistics/test_host.py holds every
twin to its device form.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from .._traced import on_host
from ._arrays import rounding_of
from ._basis import Basis
from ._entropy import entropy_from_moments
from ._epsilon import EPSILON
from ._inputs import KernelsLike, WhereLike, checked, layer_rows, widened
from ._moments import Moments
from ._randomness import randomness_threshold
from ._verdict import Verdict, judge

Rows = Float[np.ndarray, "n d"]

_FEW_TAPS = 128


class LayerQuality(NamedTuple):
    """Quality numbers of one layer as a scan gives them; NaN where a number is undefined.

    `sparsity` S is a share of kernels, `variance_entropy` H a logarithm to base 10 with the
    `threshold` of random layers beside it, and `orthogonality` O is 1 - mean |cos|.
    """

    n_kernels: int
    sparsity: float
    variance_entropy: float
    threshold: float
    orthogonality: float
    verdict: Verdict


def host_max_abs(kernels: Rows) -> Float[np.ndarray, " n"]:
    """Return the largest absolute weight of each kernel; NaN where one of its weights is NaN.

    Twin of `kernel_max_abs`. Runs on the host, in the type of the kernels.
    """
    if kernels.shape[1] > _FEW_TAPS:
        return np.abs(kernels).max(axis=1)
    # NumPy reduces rows of 9 entries four times slower than nine columns.
    largest = np.zeros(len(kernels), kernels.dtype)
    for column in kernels.T:
        np.maximum(largest, np.abs(column), out=largest)
    return largest


def host_unit_kernels(kernels: Rows) -> Float[np.ndarray, "n d"]:
    """Divide kernels by their Euclidean length; zeros where that is zero or not finite."""
    # By the largest weight first, so that no square overflows or vanishes.
    largest = host_max_abs(kernels)
    is_valid = np.isfinite(largest) & (largest > 0)
    if not is_valid.all():
        kernels = np.where(is_valid[:, None], kernels, 0)
    units = kernels / np.where(is_valid, largest, 1)[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", units, units))
    units /= np.where(is_valid, lengths, 1)[:, None]
    return units


def host_normalize(kernels: Rows) -> Float[np.ndarray, "m d"]:
    """Divide each finite kernel by its largest absolute weight; leave out those that are not finite.

    Twin of `normalize`, which keeps all rows. A zero kernel stays zero. Runs on the host.
    """
    largest = host_max_abs(kernels)
    finite = np.isfinite(largest)
    if not finite.all():
        kernels, largest = kernels[finite], largest[finite]
    return kernels / np.where(largest > 0, largest, 1)[:, None]


def host_normalize_in_half(kernels: Rows) -> Rows:
    """Round kernels to float16, and divide them by their largest weight in float16.

    Twin of `normalize_in_half`, in the type of the kernels. Runs on the host.
    """
    bound = np.asarray(np.finfo(np.float16).max, kernels.dtype)
    rounded = np.clip(kernels, -bound, bound).astype(np.float16)
    largest = host_max_abs(rounded)[:, None]
    return (rounded / np.where(largest > 0, largest, np.float16(1))).astype(kernels.dtype)


def host_set_moments(kernels: Rows) -> Moments:
    """Return the `moments` of one kernel set in float64; every row counts, so none may be NaN.

    Twin of `moments` with all rows valid. The mean is summed in float64, the scatter is a float32
    product of the centered kernels. Runs on the host and imports no compiler.
    """
    n, d = kernels.shape
    if n == 0:
        return Moments(count=np.array(0.0), mean=np.zeros(d), scatter=np.zeros((d, d)))
    mean = kernels.mean(axis=0, dtype=np.float64)
    centered = kernels - mean.astype(np.result_type(kernels.dtype, np.float32))[None]
    # What rounding the mean to float32 left of it, n times squared, is far below float32 itself.
    return Moments(count=np.array(float(n)), mean=mean, scatter=_gram(centered))


def host_coefficients(normalized: Rows, basis: Basis) -> Float[np.ndarray, "n d"]:
    """Return the coefficients of normalized kernels in a basis. Twin of `project`; runs on the host."""
    components, mean = (np.asarray(x, np.float32) for x in (basis.components, basis.mean))
    return (normalized - mean[None]) @ components.T


def host_histogram(
    coefficients: Float[np.ndarray, "n d"], edges: Float[np.ndarray, " edges"]
) -> Int64[np.ndarray, "d bins"]:
    """Count coefficients along each component; the end bins catch what falls outside.

    Twin of `histogram`. `edges` are equally spaced, in units of a coefficient. Runs on the host.
    """
    bins, d = len(edges) - 1, coefficients.shape[1]
    scale = bins / (edges[-1] - edges[0])
    places = np.floor((coefficients - np.float32(edges[0])) * np.float32(scale)).astype(np.int64)
    np.clip(places, 0, bins - 1, out=places)
    places += bins * np.arange(d)[None]
    return np.bincount(places.reshape(-1), minlength=d * bins).reshape(d, bins)


def host_counts(
    normalized: Rows, basis: Basis, edges: Float[np.ndarray, " edges"]
) -> Int64[np.ndarray, "d bins"]:
    """Return the histograms of the coefficients of normalized kernels.

    Twin of `coefficient_histogram`, which takes kernels as stored. Runs on the host.
    """
    return host_histogram(host_coefficients(normalized, basis), edges)


@on_host("inside a program use jf.sparsity, jf.variance_entropy and jf.orthogonality")
def layer_quality(
    weight: KernelsLike, sparse_eps: float = EPSILON, *, where: WhereLike = None
) -> LayerQuality:
    """Return the quality metrics of METHOD for one raw weight (out, in, *spatial).

    Kernels that are not finite enter no metric, and leave orthogonality undefined. Runs on the
    host: one layer costs less than the compilation of the device forms.

    **Arguments:**

    - `weight`: in floating point; 16-bit types are widened.
    - `sparse_eps`: the share of the layer's largest absolute weight below which a kernel is sparse.
    - `where`: marks the kernels (out, in) that count. Without all of them orthogonality is undefined.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    weight = widened(checked(weight, np), np)
    rows, counted = layer_rows(weight, where, np)
    n_all, rows = len(rows), rows if where is None else rows[counted]
    n_kernels = len(rows)
    rows, largest = _finite(rows)
    n_finite = len(rows)
    layer_max, d = float(largest.max(initial=0)), rows.shape[1]
    sparsity = float(np.mean(_is_sparse(largest, layer_max, sparse_eps))) if n_finite else math.nan
    entropy = _variance_entropy(rows, layer_max)
    threshold = float(randomness_threshold(n_finite, d))
    orthogonality = host_orthogonality(weight) if n_finite == n_all else math.nan
    verdict = judge(
        n_kernels=n_kernels,
        n_nonfinite=n_kernels - n_finite,
        max_abs=layer_max,
        sparsity=sparsity,
        variance_entropy=entropy,
        threshold=threshold,
        d=d,
    )
    return LayerQuality(n_kernels, sparsity, entropy, threshold, orthogonality, verdict)


def host_orthogonality(weight: Float[np.ndarray, "out *rest"]) -> float:
    """Return 1 - mean |cos| over pairs of distinct output channels; NaN for fewer than two.

    Twin of `orthogonality`, whose conventions for zero channels it shares. Runs on the host.
    """
    n = len(weight)
    if n < 2:
        return math.nan
    units = _units(widened(weight.reshape(n, -1), np))
    cosines = np.abs(units @ units.T)
    np.minimum(cosines, 1, out=cosines)  # rounding can carry |cos| of equal rows past 1
    total = float(cosines.sum(dtype=np.float64) - np.trace(cosines))
    return 1 - total / (n * (n - 1))


def _finite(rows: Rows) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
    """Return the finite kernels, and the largest absolute weight of each."""
    largest = host_max_abs(rows)
    finite = np.isfinite(largest)
    return (rows, largest) if finite.all() else (rows[finite], largest[finite])


def _is_sparse(
    largest: Float[np.ndarray, " n"], layer_max: float, eps: float
) -> Bool[np.ndarray, " n"]:
    number = largest.dtype.type
    return (largest / number(layer_max or 1) < number(eps)) | (layer_max == 0)


def _variance_entropy(rows: Rows, layer_max: float) -> float:
    # In units of the largest weight, so that squares neither overflow nor vanish.
    moments = host_set_moments(rows / rows.dtype.type(layer_max or 1))
    return float(entropy_from_moments(moments, limit=rounding_of(rows.dtype)))


def _units(rows: Rows) -> Rows:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    units = rows / np.where(largest > 0, largest, 1)
    lengths = np.sqrt(np.einsum("ij,ij->i", units, units))[:, None]
    units /= np.where(lengths > 0, lengths, 1)
    return units


def _gram(centered: Rows) -> Float[np.ndarray, "d d"]:
    return (centered.T @ centered).astype(np.float64)
