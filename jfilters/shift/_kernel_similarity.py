"""Similarity of two weights of one shape: the cosines between their kernels, against random matching.

Kernels of networks that were trained apart are no closer than kernels matched at random; training
onward, rounding and pruning leave most of each kernel's direction. NumPy on the host.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..statistics.internal import host_unit_kernels

Rows = Float[np.ndarray, "n d"]

LOW_QUANTILE = 0.05


class KernelSimilarity(NamedTuple):
    """Cosines between matched kernels, and their mean under random matching of the same kernels.

    `n` pairs in which neither kernel is zero or not finite; their `mean` cosine and 5 % quantile `low`.
    `null_mean` and `null_deviation` are mean and standard deviation of that mean over all n!
    matchings. NaN where there are too few pairs.
    """

    n: int
    mean: float
    low: float
    null_mean: float
    null_deviation: float

    @property
    def excess(self) -> float:
        """The mean cosine less its null mean."""
        return self.mean - self.null_mean

    @property
    def z(self) -> float:
        """The excess in standard deviations of random matching; NaN where that has none."""
        return self.excess / self.null_deviation if self.null_deviation > 0 else math.nan


def kernel_similarity(a: Rows, b: Rows) -> KernelSimilarity:
    """Compare the kernels in the same row of `a` and `b`, both raw, by their cosines.

    Runs on the host. The null is exact and needs no sampling: over all matchings the mean cosine of
    unit kernels u, v has mean u̅·v̅ and variance tr(C_u C_v) / (n - 1), C the biased covariances. For
    directions without preference that is 0 and 1 / ((n - 1) d).

    Source: Hoeffding, "A combinatorial central limit theorem", 1951.
    """
    u = host_unit_kernels(a)
    v = u if b is a else host_unit_kernels(b)
    both = u.any(axis=1) & v.any(axis=1)
    u, v = (x if both.all() else x[both] for x in (u, v))
    n = len(u)
    if n == 0:
        return KernelSimilarity(0, math.nan, math.nan, math.nan, math.nan)
    cosines = np.einsum("ij,ij->i", u, v)
    means = (x.mean(axis=0, dtype=np.float64) for x in (u, v))
    return KernelSimilarity(
        n=n,
        mean=float(cosines.mean(dtype=np.float64)),
        low=float(np.quantile(cosines, LOW_QUANTILE)),
        null_mean=float(np.dot(*means)),
        null_deviation=_null_deviation(u, v),
    )


def _null_deviation(u: Rows, v: Rows) -> float:
    n, d = u.shape
    if n < 2:
        return math.nan
    u, v = (x - x.mean(axis=0, keepdims=True) for x in (u, v))
    if n < d:  # tr(C_u C_v) from the smaller of two products
        trace = float(np.sum(np.square(u @ v.T), dtype=np.float64))
    else:
        trace = float(np.sum((u.T @ u) * (v.T @ v), dtype=np.float64))
    return math.sqrt(max(trace, 0) / (n - 1)) / n
