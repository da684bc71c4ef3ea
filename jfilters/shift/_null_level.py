"""The drift that sampling alone makes: what two samples of one distribution show."""

import numpy as np
from jaxtyping import Float, Integer

from ..statistics import RealArray


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
