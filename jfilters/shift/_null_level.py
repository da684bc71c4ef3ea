"""The drift that sampling alone makes: what two samples of one distribution show."""

import numpy as np
from jaxtyping import Float, Integer, Num

from ..statistics.internal import RealArray
from ._nulls import SamplingNull


def null_level(
    n: int | float,
    m: int | float,
    occupied: Integer[RealArray, " d"],
    variance_ratio: Float[RealArray, " d"],
) -> float:
    """Expected drift, in nats, between samples of `n` and `m` kernels of one distribution.

    K (1/n + 1/m) with K = sum_i a_i (occupied_i - 1), `occupied` the number of bins of each
    component that hold any of the kernels. For large n and m; a drift of this size says nothing.
    Raises ValueError for sizes that are not positive.

    Source: derived for this project.
    """
    if not (n > 0 and m > 0):
        raise ValueError(f"expected two sets of at least one kernel, got {n} and {m}")
    freedom = np.maximum(np.asarray(occupied, np.float64) - 1, 0)
    level = np.sum(np.asarray(variance_ratio, np.float64) * freedom)
    return float(level * (1 / n + 1 / m))


def large_sample_null(
    sizes: tuple[float, float],
    pooled: Num[np.ndarray, "d bins"],
    variance_ratio: Float[np.ndarray, " d"],
) -> SamplingNull:
    """Return the limit of `sampling_null` of drift for large sizes: `null_level` and its 95 % quantile.

    n m / (n + m) D is a weighted sum of chi-squares, one a component; its quantile is that of the
    scaled chi-square of the same mean and variance. Runs on the host and draws nothing.

    **Arguments:**

    - `sizes`: numbers of kernels n and m of the two samples.
    - `pooled`: the histogram of both samples together.

    Source: Satterthwaite, "An approximate distribution of estimates of variance components", 1946.
    """
    from scipy.special import gammaincinv  # 0.25 s, which only many pairs pay for

    occupied = np.count_nonzero(pooled, axis=-1)
    mean = null_level(*sizes, occupied, variance_ratio)
    freedom = np.maximum(occupied - 1, 0)
    variance = 2 * float(np.sum(variance_ratio**2 * freedom))
    if mean == 0:
        return SamplingNull(0.0, 0.0)
    half_freedom = float(variance_ratio @ freedom) ** 2 / variance
    return SamplingNull(mean, mean * float(gammaincinv(half_freedom, 0.95)) / half_freedom)
