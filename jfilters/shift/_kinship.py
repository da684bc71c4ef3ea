"""Whether two weights of one shape go back to one: the cosines between their kernels, against chance.

Kernels of networks that were trained apart are no closer than kernels matched at random; training
onward, rounding and pruning leave most of each kernel's direction. NumPy on the host.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..statistics import host_max_abs

Rows = Float[np.ndarray, "n d"]

LOW_QUANTILE = 0.05


class Kinship(NamedTuple):
    """Cosines between matched kernels, and what a random matching of the same kernels gives.

    `n` pairs in which neither kernel is zero or not finite; their `mean` cosine and 5 % quantile `low`.
    `chance` and `spread` are mean and standard deviation of that mean over all n! matchings. NaN
    where there are too few pairs.
    """

    n: int
    mean: float
    low: float
    chance: float
    spread: float

    @property
    def excess(self) -> float:
        """How far the mean cosine lies above chance."""
        return self.mean - self.chance

    @property
    def sigmas(self) -> float:
        """The same in standard deviations of a random matching; NaN where that has none."""
        return self.excess / self.spread if self.spread > 0 else math.nan


def kinship(a: Rows, b: Rows) -> Kinship:
    """The cosines between kernels in the same row of `a` and `b`, both raw.

    Chance is exact and needs no sampling: over all matchings the mean cosine of unit kernels u, v has
    mean u̅·v̅ and variance tr(C_u C_v) / (n - 1), C the biased covariances. For directions without
    preference that is 0 and 1 / ((n - 1) d).

    Source: Hoeffding, "A combinatorial central limit theorem", 1951.
    """
    u = unit_kernels(a)
    v = u if b is a else unit_kernels(b)
    both = u.any(axis=1) & v.any(axis=1)
    u, v = (x if both.all() else x[both] for x in (u, v))
    n = len(u)
    if n == 0:
        return Kinship(0, math.nan, math.nan, math.nan, math.nan)
    cosines = np.einsum("ij,ij->i", u, v)
    means = (x.mean(axis=0, dtype=np.float64) for x in (u, v))
    return Kinship(
        n=n,
        mean=float(cosines.mean(dtype=np.float64)),
        low=float(np.quantile(cosines, LOW_QUANTILE)),
        chance=float(np.dot(*means)),
        spread=_spread(u, v),
    )


def unit_kernels(kernels: Rows) -> Float[np.ndarray, "n d"]:
    """Kernels divided by their Euclidean length; zeros where that is zero or not finite."""
    # By the largest weight first, so that no square overflows or vanishes.
    peaks = host_max_abs(kernels)
    fit = np.isfinite(peaks) & (peaks > 0)
    if not fit.all():
        kernels = np.where(fit[:, None], kernels, 0)
    units = kernels / np.where(fit, peaks, 1)[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", units, units))
    units /= np.where(fit, lengths, 1)[:, None]
    return units


def _spread(u: Rows, v: Rows) -> float:
    n, d = u.shape
    if n < 2:
        return math.nan
    u, v = (x - x.mean(axis=0, keepdims=True) for x in (u, v))
    if n < d:  # tr(C_u C_v) from the smaller of two products
        trace = float(np.sum(np.square(u @ v.T), dtype=np.float64))
    else:
        trace = float(np.sum((u.T @ u) * (v.T @ v), dtype=np.float64))
    return math.sqrt(max(trace, 0) / (n - 1)) / n
