"""Similarity of two weights of one shape: the cosines between their kernels, against random matching.

Kernels of networks that were trained apart are no closer than kernels matched at random; training
onward, rounding and pruning leave most of each kernel's direction. NumPy on the host.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .._traced import on_host
from ..statistics.internal import (
    KernelsLike,
    WhereLike,
    host_unit_kernels,
    is_layered,
    layer_masks,
    layer_rows,
)

Rows = Float[np.ndarray, "n d"]

LOW_QUANTILE = 0.05


class KernelSimilarity(NamedTuple):
    """Cosines between matched kernels, and their mean under random matching of the same kernels.

    `n` pairs in which neither kernel is zero or not finite; their `mean` cosine and 5 % quantile `low`.
    `null_mean` and `null_deviation` are mean and standard deviation of that mean over all n!
    matchings. NaN where there are too few pairs. One number each, or one a layer.
    """

    n: Any
    mean: Any
    low: Any
    null_mean: Any
    null_deviation: Any

    @property
    def excess(self) -> Any:
        """The mean cosine less its null mean."""
        return self.mean - self.null_mean

    @property
    def z(self) -> Any:
        """The excess in standard deviations of random matching; NaN where that has none."""
        varies = self.null_deviation > 0
        if isinstance(varies, np.ndarray):
            divisor = np.where(varies, self.null_deviation, 1)
            return np.where(varies, self.excess / divisor, math.nan)
        return self.excess / self.null_deviation if varies else math.nan


@on_host("call it on arrays, outside of the program; inside, take cosines by jax.numpy")
def kernel_similarity(
    a: KernelsLike, b: KernelsLike, *, where: WhereLike = None
) -> KernelSimilarity:
    """Compare the kernels in the same place of `a` and `b`, both raw, by their cosines.

    Runs on the host. The null is exact and needs no sampling: over all matchings the mean cosine of
    unit kernels u, v has mean u̅·v̅ and variance tr(C_u C_v) / (n - 1), C the biased covariances. For
    directions without preference that is 0 and 1 / ((n - 1) d).

    **Arguments:**

    - `a`, `b`: as rows (n, d), weights (out, in, *spatial), or `Kernels` of the same layers: one value
      a layer.
    - `where`: marks the pairs that count; one mask a layer for `Kernels`.

    Source: Hoeffding, "A combinatorial central limit theorem", 1951.
    """
    if is_layered(a) and is_layered(b):
        masks = layer_masks(where, len(a.weights))
        layers = zip(a.weights, b.weights, masks, strict=True)
        return KernelSimilarity(
            *map(np.array, zip(*(_similarity(*x) for x in layers), strict=True))
        )
    return _similarity(a, b, where)


def _similarity(a: KernelsLike, b: KernelsLike, where: WhereLike) -> KernelSimilarity:
    u = _unit_kernels(a, where)
    v = u if b is a else _unit_kernels(b, where)
    if u.shape != v.shape:
        raise ValueError(f"expected as many kernels on both sides, got {u.shape} and {v.shape}")
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


def _unit_kernels(kernels: KernelsLike, where: WhereLike) -> Rows:
    rows, counted = layer_rows(kernels, where, np)
    return host_unit_kernels(rows if where is None else rows[counted])


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
