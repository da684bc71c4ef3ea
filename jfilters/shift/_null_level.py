"""The limit of the sampling null of drift for many kernels in every bin."""

import numpy as np
from jaxtyping import Float, Integer

from .._traced import on_host
from ..statistics.internal import RealArray


@on_host("null_level is a mean of arrays: call it outside of the program, or watch jf.drift inside")
def null_level(
    n: int | float,
    m: int | float,
    occupied: Integer[RealArray, " d"],
    variance_ratio: Float[RealArray, " d"],
) -> float:
    """Return the limit of the mean sampling null of drift, in nats, for `n` and `m` kernels.

    K (1/n + 1/m) with K = sum_i a_i (occupied_i - 1), `occupied` the number of bins of each
    component that hold any of the kernels. It holds where every one of these bins has many: at 100 kernels
    it is 0.28, at 10,000 0.73 of the true mean, which `drift_null` gives. Raises ValueError for sizes that
    are not positive.

    Source: derived for this project.
    """
    if not (n > 0 and m > 0):
        raise ValueError(f"expected two sets of at least one kernel, got {n} and {m}")
    freedom = np.maximum(np.asarray(occupied, np.float64) - 1, 0)
    level = np.sum(np.asarray(variance_ratio, np.float64) * freedom)
    return float(level * (1 / n + 1 / m))
