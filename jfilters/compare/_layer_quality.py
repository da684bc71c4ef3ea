"""Quality of one weight on the host: the numbers of a scan for a layer, without compiling a program."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..shift import host_peaks, host_set_moments
from ..statistics import EPSILON, Verdict, entropy_from_moments, judge, randomness_threshold

Weight = Float[np.ndarray, "out in *spatial"]
Rows = Float[np.ndarray, "n d"]


class LayerQuality(NamedTuple):
    """What a scan says of a layer: sparsity S, variance entropy H and its threshold, orthogonality O.

    NaN where a number is undefined.
    """

    n_kernels: int
    sparsity: float
    variance_entropy: float
    threshold: float
    orthogonality: float
    verdict: Verdict


def layer_quality(weight: Weight, sparse_eps: float = EPSILON) -> LayerQuality:
    """The quality metrics of METHOD for one raw weight; kernels that are not finite enter none of them."""
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    peaks = host_peaks(rows)
    finite = np.isfinite(peaks)
    if not finite.all():
        rows, peaks = rows[finite], peaks[finite]
    largest = float(peaks.max(initial=0))
    unit = np.float32(largest or 1)
    sparse = (peaks / unit < np.float32(sparse_eps)) | (largest == 0)
    sparsity = float(np.mean(sparse)) if len(rows) else math.nan
    # In units of the largest weight, so that squares neither overflow nor vanish.
    scaled = rows / unit
    entropy = float(entropy_from_moments(host_set_moments(scaled)))
    threshold = float(randomness_threshold(len(rows), rows.shape[1]))
    verdict = judge(
        n_kernels=len(finite),
        n_nonfinite=len(finite) - len(rows),
        max_abs=largest,
        sparsity=sparsity,
        variance_entropy=entropy,
        threshold=threshold,
        d=rows.shape[1],
    )
    orthogonality = _orthogonality(weight) if finite.all() else math.nan
    return LayerQuality(len(finite), sparsity, entropy, threshold, orthogonality, verdict)


def _orthogonality(weight: Weight) -> float:
    """1 - mean |cos| over ordered pairs of distinct output channels; NaN for fewer than two."""
    n = len(weight)
    if n < 2:
        return math.nan
    units = _units(weight.reshape(n, -1))
    cosines = np.abs(units @ units.T)
    np.minimum(cosines, 1, out=cosines)  # rounding can carry |cos| of equal rows past 1
    total = float(cosines.sum(dtype=np.float64) - np.trace(cosines))
    return 1 - total / (n * (n - 1))


def _units(rows: Rows) -> Rows:
    peaks = np.abs(rows).max(axis=1, keepdims=True)
    units = rows / np.where(peaks > 0, peaks, 1)
    lengths = np.sqrt(np.einsum("ij,ij->i", units, units))[:, None]
    units /= np.where(lengths > 0, lengths, 1)
    return units
