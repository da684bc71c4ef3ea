"""Comparisons of coefficient histograms under one interface, each component weighted by its variance ratio.

A metric is a function of two probability arrays that gives one number a component; all stacking,
weighting and pairing is written once, here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ._divergence import drift_matrix

Probabilities = Float[np.ndarray, "*#sets d bins"]
ByComponent = Float[np.ndarray, "*#sets d"]
Components = Callable[[Any, Any, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """What a comparison is called, measures and reads.

    **Arguments:**

    - `unit`: what the number counts.
    - `direction`: how to read its size: what 0 is, what is more, and its bound.
    - `null`: what it shows for two samples of one distribution.
    - `symmetric`: whether swapping the two sets changes nothing.
    - `reads`: what of a kernel set it is computed from.
    - `components`: for histograms, the unweighted number of each component, from the probabilities
      (\\*sets, d, bins) of both sets and the bins + 1 edges; None for the others.
    """

    name: str
    unit: str
    direction: str
    null: str
    symmetric: bool = True
    reads: Literal["histogram", "moments", "sample"] = "histogram"
    components: Components | None = None


def metric_matrix(
    name: str,
    probabilities: Float[np.ndarray, "m d bins"],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> Float[np.ndarray, "m m"]:
    """One metric of histograms between all pairs of `m` sets: row against column.

    Raises ValueError for a name that is no metric of histograms.
    """
    compare = components_of(name)
    if name == "drift":
        return drift_matrix(probabilities, variance_ratio)
    m = len(probabilities)
    # Row by row: m x m x d x bins numbers at once would not fit for hundreds of models.
    rows = [compare(p[None], probabilities, edges) @ variance_ratio for p in probabilities]
    matrix = np.stack(rows) if rows else np.zeros((m, m))
    np.fill_diagonal(matrix, 0)
    return matrix


def metric_components(
    name: str,
    probabilities: Float[np.ndarray, "m d bins"],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> Float[np.ndarray, "m m d"]:
    """What each component adds to `metric_matrix`, for few sets: m x m x d x bins numbers at once.

    Raises ValueError for a name that is no metric of histograms.
    """
    compare = components_of(name)
    shares = compare(probabilities[:, None], probabilities[None], edges)
    return shares * variance_ratio[None, None]


def components_of(name: str) -> Components:
    """The function of a metric of histograms: (p, q, edges) to one unweighted number a component.

    Raises ValueError for a name that is no metric of histograms.
    """
    metric = METRICS.get(name)
    if metric is None or metric.components is None:
        known = ", ".join(known for known, metric in METRICS.items() if metric.components)
        raise ValueError(f"expected a metric of histograms, one of {known}; got {name!r}")
    return metric.components


def _drift(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    # `drift_components` without weights, and with one logarithm: permutations take it by the million.
    return np.sum((p - q) * np.log(p / q), axis=-1)


def _kl(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    # p ln(p/q) - p + q is nowhere negative, so that rounding leaves no sum below 0.
    return np.maximum(np.sum(p * (np.log(p) - np.log(q)) - p + q, axis=-1), 0)


def _kl_reverse(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    return _kl(q, p, edges)


def _jensen_shannon(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    middle = (p + q) / 2
    return (_kl(p, middle, edges) + _kl(q, middle, edges)) / 2


def _total_variation(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    return np.sum(np.abs(p - q), axis=-1) / 2


def _hellinger(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    return np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2, axis=-1) / 2)


def _wasserstein(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    # The mass of a bin lies at its center.
    steps = np.diff((edges[1:] + edges[:-1]) / 2)
    return np.abs(np.cumsum(p - q, axis=-1)[..., :-1]) @ steps


_SAMPLING = "positive; falls as 1/n + 1/m"
_ROOT_SAMPLING = "positive; falls as sqrt(1/n + 1/m)"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "drift",
            "nats",
            "0 is the same, larger is more different, no bound; the sum of both KL directions",
            _SAMPLING,
            components=_drift,
        ),
        Metric(
            "kl",
            "nats",
            "KL(row || column): 0 is the same, large where the row has kernels that the column lacks",
            _SAMPLING,
            symmetric=False,
            components=_kl,
        ),
        Metric(
            "kl-reverse",
            "nats",
            "KL(column || row): 0 is the same, large where the column has kernels that the row lacks",
            _SAMPLING,
            symmetric=False,
            components=_kl_reverse,
        ),
        Metric(
            "jensen-shannon",
            "nats",
            "0 is the same, ln 2 = 0.693 is nothing in common",
            _SAMPLING,
            components=_jensen_shannon,
        ),
        Metric(
            "total-variation",
            "share of kernels",
            "0 is the same, 1 is nothing in common",
            _ROOT_SAMPLING,
            components=_total_variation,
        ),
        Metric(
            "hellinger",
            "none",
            "0 is the same, 1 is nothing in common",
            _ROOT_SAMPLING,
            components=_hellinger,
        ),
        Metric(
            "wasserstein",
            "coefficients",
            "0 is the same, larger is further apart; how far kernels move along a component",
            _ROOT_SAMPLING,
            components=_wasserstein,
        ),
        Metric(
            "frechet",
            "squared coefficients",
            "0 is the same mean and covariance, larger is further apart",
            _SAMPLING,
            reads="moments",
        ),
        Metric(
            "sliced-wasserstein",
            "coefficients",
            "0 is the same, larger is further apart; mean over random directions",
            _ROOT_SAMPLING,
            reads="sample",
        ),
        Metric(
            "energy",
            "coefficients",
            "0 is the same, larger is further apart",
            _SAMPLING,
            reads="sample",
        ),
        Metric(
            "mmd",
            "none",
            "0 is the same, 2 is nothing in common; squared, Gaussian kernel",
            _SAMPLING,
            reads="sample",
        ),
        Metric(
            "sinkhorn",
            "squared coefficients",
            "0 is the same, larger is further apart; smoothed optimal transport",
            _SAMPLING,
            reads="sample",
        ),
    )
}
"""Every comparison by its name."""
