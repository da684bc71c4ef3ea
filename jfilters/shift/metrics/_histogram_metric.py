"""Metrics of coefficient histograms: one number a component, weighted by its variance ratio.

A metric is a function of two probability arrays; stacking, weighting, pairing and drawing are
written once, here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Num

from .._divergence import probability
from .._nulls import SamplingNull
from .._redeal import DealtSets, redealt
from ._metric import OtherRows, Reads, Rows, Space, SummedMetric

Probabilities = Float[np.ndarray, "*#sets d bins"]
ByComponent = Float[np.ndarray, "*#sets d"]
Components = Callable[[Any, Any, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class HistogramMetric(SummedMetric):
    """A metric of coefficient histograms; a row of features is a flattened histogram (d * bins).

    **Arguments:**

    - `components`: the unweighted number of each component, from the probabilities
      (\\*sets, d, bins) of both sets and the bins + 1 edges.
    """

    components: Components

    reads: ClassVar[Reads] = "histogram"

    def shares(self, space: Space, first: Rows, second: OtherRows) -> Float[np.ndarray, "r d"]:
        """Return what each component adds to the metric, weighted, for rows against rows."""
        p, q = _probabilities(space, first), _probabilities(space, second)
        return self.components(p, q, space.edges) * space.variance_ratio

    def pairs(
        self,
        probabilities: Float[np.ndarray, "m d bins"],
        variance_ratio: Float[np.ndarray, " d"],
        edges: Float[np.ndarray, " edges"],
    ) -> Float[np.ndarray, "m m"]:
        """Return the metric between all pairs of `m` sets of probabilities, row against column."""
        m = len(probabilities)
        # Row by row: m x m x d x bins numbers at once would not fit for hundreds of models.
        rows = [
            self.components(p[None], probabilities, edges) @ variance_ratio for p in probabilities
        ]
        matrix = np.stack(rows) if rows else np.zeros((m, m))
        np.fill_diagonal(matrix, 0)
        return matrix

    def matrix(self, space: Space, sums: Num[np.ndarray, "m features"]) -> Float[np.ndarray, "m m"]:
        """Return the metric between all pairs of rows, row against column."""
        return self.pairs(_probabilities(space, sums), space.variance_ratio, space.edges)

    def sampling_null(
        self,
        rng: np.random.Generator,
        space: Space,
        pooled: Num[np.ndarray, " features"],
        sets: DealtSets,
        *,
        replicates: int = 200,
    ) -> SamplingNull:
        """Return the null of `jfilters.shift.sampling_null`: all kernels dealt anew to their sets."""
        counts = pooled.reshape(len(space.variance_ratio), -1)
        first, second = redealt(rng, counts, sets, replicates)
        values = self.statistic(space)(
            first.reshape(replicates, -1), second.reshape(replicates, -1)
        )
        return SamplingNull(float(np.mean(values)), float(np.quantile(values, 0.95)))


def _probabilities(space: Space, rows: Num[np.ndarray, "r features"]) -> Probabilities:
    histograms = rows.reshape(len(rows), len(space.variance_ratio), len(space.edges) - 1)
    return np.asarray(probability(histograms, space.edges))
