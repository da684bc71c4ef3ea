"""Records of nulls: what a comparison shows where nothing but sampling or relabeling differs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

AS_LARGE = 1 - 1e-9
"""Of a value: what gives the same groups gives the same value but rounding."""


@dataclass(frozen=True)
class SamplingNull:
    """Mean and 95 % quantile of a metric between two samples of one distribution."""

    mean: float
    quantile95: float


@dataclass(frozen=True)
class PopulationNull:
    """The share `p` of random splits whose value is as large as the observed one.

    `p` is None, with the `reason`, where there is only one way to split but for the order of both
    groups. `smallest` is the least p that these units allow; `exact` says that all splits were tried.
    """

    p: float | None
    smallest: float
    exact: bool
    reason: str | None = None


@dataclass(frozen=True)
class AxisNull:
    """Mean and 95 % quantile of the median over all pairs of groups under a null, and its p-value.

    `p` is None, with the `reason`, where labels cannot be permuted in another way.
    """

    mean: float | None
    quantile95: float | None
    p: float | None
    reason: str | None = None


def axis_null(observed: float, values: Float[np.ndarray, " count"]) -> AxisNull:
    """Return the null of `observed` from values that were drawn under it."""
    p = float((1 + np.sum(values >= observed * AS_LARGE)) / (1 + len(values)))
    return AxisNull(float(np.mean(values)), float(np.quantile(values, 0.95)), p)


def pair_medians(matrices: Float[np.ndarray, "count m m"]) -> Float[np.ndarray, " count"]:
    """Return the median over all pairs of groups, in both orders: a metric need not be symmetric."""
    return np.median(matrices[:, ~np.eye(matrices.shape[1], dtype=bool)], axis=1)
