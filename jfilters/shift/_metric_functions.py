"""Metrics of histograms by name, as functions of probabilities."""

import numpy as np
from jaxtyping import Float

from ..errors import unknown_choice
from .metrics import METRICS, HistogramMetric, Space
from .metrics._histogram_metric import Components


def metric_matrix(
    name: str,
    probabilities: Float[np.ndarray, "m d bins"],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> Float[np.ndarray, "m m"]:
    """Return one metric of histograms between all pairs of `m` sets: row against column.

    Exactly 0 on the diagonal, in the unit of the metric. Runs on the host.

    **Arguments:**

    - `name`: a name of `METRICS` that reads histograms.
    - `probabilities`: of every set, as `probability` gives them.
    - `variance_ratio`: the weight of each component.
    - `edges`: of the bins, in units of a coefficient.

    Raises ValueError for a name that is no metric of histograms.
    """
    return histogram_metric(name).pairs(probabilities, variance_ratio, edges)


def metric_components(
    name: str,
    probabilities: Float[np.ndarray, "m d bins"],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> Float[np.ndarray, "m m d"]:
    """Return what each component adds to `metric_matrix`, which has the arguments explained.

    For few sets: m x m x d x bins numbers are in memory at once. Runs on the host. Raises
    ValueError for a name that is no metric of histograms.
    """
    compare = components_of(name)
    shares = compare(probabilities[:, None], probabilities[None], edges)
    return shares * variance_ratio[None, None]


def components_of(name: str) -> Components:
    """Return the function of a metric of histograms: (p, q, edges) to one number a component.

    The numbers are not weighted by the variance ratio. Raises ValueError for a name that is no
    metric of histograms.
    """
    return histogram_metric(name).components


def histogram_metric(name: str) -> HistogramMetric:
    """Return the record of a metric of histograms; raises ValueError, with the names, for others."""
    metric = METRICS.get(name)
    if not isinstance(metric, HistogramMetric):
        names = [n for n, record in METRICS.items() if record.reads == "histogram"]
        raise ValueError(unknown_choice("a metric of histograms", name, names))
    return metric


def histogram_space(
    variance_ratio: Float[np.ndarray, " d"], edges: Float[np.ndarray, " edges"]
) -> Space:
    """Return the space of a metric that looks at no component's direction."""
    return Space(edges, variance_ratio, np.eye(len(variance_ratio)))
