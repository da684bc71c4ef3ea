"""Kullback-Leibler divergence of the column set from the row set."""

import numpy as np

from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._kl import kl
from ._rates import SAMPLING


def kl_reverse(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return sum q ln(q / p) of each component, in nats."""
    return kl(q, p, edges)


KL_REVERSE = HistogramMetric(
    name="kl-reverse",
    unit="nats",
    direction="KL(column || row): 0 is the same, large where the column has kernels that the row lacks",
    null=SAMPLING,
    symmetric=False,
    components=kl_reverse,
)
