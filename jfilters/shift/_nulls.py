"""Records of nulls: what a comparison shows where nothing but sampling or relabeling differs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

AS_LARGE = 1 - 1e-9
"""Of a value: what gives the same groups gives the same value but rounding."""


@dataclass(frozen=True)
class SamplingNull:
    """Mean and 95 % quantile of a metric between two samples of one distribution."""

    mean: float
    quantile95: float


class PopulationNull(NamedTuple):
    """The share `p` of labelings whose value is as large as the observed one.

    `p` is None, with the `reason`, where units cannot be split in another way. `smallest` is the least p
    that these units allow; `exact` says that all labelings were tried. `kernels` is the number that every
    part was thinned to, 0 where none was, and `units_out` counts units of fewer kernels, which stay out.
    """

    p: float | None
    smallest: float
    exact: bool
    reason: str | None = None
    kernels: int = 0
    units_out: int = 0


def pair_means(matrices: Float[np.ndarray, "count m m"]) -> Float[np.ndarray, " count"]:
    """Return the mean over all pairs of groups, in both orders: a metric need not be symmetric."""
    return np.mean(matrices[:, ~np.eye(matrices.shape[1], dtype=bool)], axis=1)
