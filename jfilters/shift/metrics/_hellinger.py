"""Hellinger distance."""

import numpy as np

from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._rates import ROOT_SAMPLING


def hellinger(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return sqrt(sum (sqrt p - sqrt q)^2 / 2) of each component; at most 1."""
    return np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2, axis=-1) / 2)


HELLINGER = HistogramMetric(
    name="hellinger",
    unit="none",
    direction="0 is the same, 1 is nothing in common",
    null=ROOT_SAMPLING,
    components=hellinger,
)
