"""Wasserstein-1 distance along each component."""

import numpy as np

from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._rates import ROOT_SAMPLING


def wasserstein(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return the area between the cumulative histograms, in units of a coefficient."""
    # The mass of a bin lies at its center.
    steps = np.diff((edges[1:] + edges[:-1]) / 2)
    return np.abs(np.cumsum(p - q, axis=-1)[..., :-1]) @ steps


WASSERSTEIN = HistogramMetric(
    name="wasserstein",
    unit="coefficients",
    direction="0 is the same, larger is further apart; how far kernels move along a component",
    null=ROOT_SAMPLING,
    components=wasserstein,
)
