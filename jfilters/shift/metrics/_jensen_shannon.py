"""Jensen-Shannon divergence."""

import numpy as np

from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._kl import kl
from ._rates import SAMPLING


def jensen_shannon(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return the mean KL of both sets from their mixture, in nats; at most ln 2."""
    mixture = (p + q) / 2
    return (kl(p, mixture, edges) + kl(q, mixture, edges)) / 2


JENSEN_SHANNON = HistogramMetric(
    name="jensen-shannon",
    unit="nats",
    direction="0 is the same, ln 2 = 0.693 is nothing in common",
    null=SAMPLING,
    components=jensen_shannon,
)
