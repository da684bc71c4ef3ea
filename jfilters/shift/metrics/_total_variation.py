"""Total variation distance."""

import numpy as np

from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._rates import ROOT_SAMPLING


def total_variation(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return half the summed absolute difference of each component; at most 1."""
    return np.sum(np.abs(p - q), axis=-1) / 2


TOTAL_VARIATION = HistogramMetric(
    name="total-variation",
    unit="share of kernels",
    direction="0 is the same, 1 is nothing in common",
    null=ROOT_SAMPLING,
    components=total_variation,
)
