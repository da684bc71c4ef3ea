"""The steps of a drift in NumPy, for a pair of checkpoints: XLA compiles longer than this computes."""

import numpy as np
from jaxtyping import Float, Int64

from ..statistics import Basis, Moments

Rows = Float[np.ndarray, "n d"]


_FEW_TAPS = 128


def host_peaks(kernels: Rows) -> Float[np.ndarray, " n"]:
    """The largest absolute weight of each kernel; NaN where one of them is."""
    if kernels.shape[1] > _FEW_TAPS:
        return np.abs(kernels).max(axis=1)
    # NumPy reduces rows of 9 entries four times slower than nine columns.
    peaks = np.zeros(len(kernels), kernels.dtype)
    for column in kernels.T:
        np.maximum(peaks, np.abs(column), out=peaks)
    return peaks


def host_normalize(kernels: Rows) -> Float[np.ndarray, "m d"]:
    """Each finite kernel divided by its largest absolute weight; those that are not finite are left out.

    A zero kernel stays zero.
    """
    peaks = host_peaks(kernels)
    finite = np.isfinite(peaks)
    if not finite.all():
        kernels, peaks = kernels[finite], peaks[finite]
    return kernels / np.where(peaks > 0, peaks, 1)[:, None]


def host_set_moments(kernels: Rows) -> Moments:
    """`statistics.moments` of one kernel set in float64."""
    n, d = kernels.shape
    if n == 0:
        return Moments(count=np.array(0.0), mean=np.zeros(d), scatter=np.zeros((d, d)))
    mean = kernels.mean(axis=0, dtype=np.float64)
    centered = kernels - mean.astype(np.float32)[None]
    # What rounding the mean to float32 left of it, n times squared, is far below float32 itself.
    return Moments(count=np.array(float(n)), mean=mean, scatter=_gram(centered))


def host_counts(
    normalized: Rows, basis: Basis, edges: Float[np.ndarray, " edges"]
) -> Int64[np.ndarray, "d bins"]:
    """Histograms of the coefficients of normalized kernels; the end bins catch what falls outside."""
    components, mean = (np.asarray(x, np.float32) for x in (basis.components, basis.mean))
    bins, d = len(edges) - 1, len(mean)
    coefficients = (normalized - mean[None]) @ components.T
    scale = bins / (edges[-1] - edges[0])
    places = np.floor((coefficients - np.float32(edges[0])) * np.float32(scale)).astype(np.int64)
    np.clip(places, 0, bins - 1, out=places)
    places += bins * np.arange(d)[None]
    return np.bincount(places.reshape(-1), minlength=d * bins).reshape(d, bins)


def _gram(centered: Rows) -> Float[np.ndarray, "d d"]:
    return (centered.T @ centered).astype(np.float64)
