"""Kullback-Leibler divergence of the row set from the column set."""

import numpy as np

from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._rates import SAMPLING


def kl(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return sum p ln(p / q) of each component, in nats."""
    # p ln(p/q) - p + q is nowhere negative, so that rounding leaves no sum below 0.
    return np.maximum(np.sum(p * (np.log(p) - np.log(q)) - p + q, axis=-1), 0)


KL = HistogramMetric(
    name="kl",
    unit="nats",
    direction="KL(row || column): 0 is the same, large where the row has kernels that the column lacks",
    null=SAMPLING,
    symmetric=False,
    components=kl,
)
