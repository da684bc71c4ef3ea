"""Metrics of layer statistics: those of histograms, and the Frechet distance of moments."""

import functools
from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Float, Num

from ...scans import Scan
from ...shift import METRICS, PopulationNull, SamplingNull, probability
from ...shift.internal import AxisNull, HistogramMetric, Space, SummedMetric
from ._question import Balance, Question
from ._sides import Side, permuted_null
from ._units import layer_histograms, layer_moments

MOST_DRAWN = 300
"""Pairs whose sampling null is drawn; of more, that of drift follows from its large-sample form."""


class StatisticsComparison:
    """A metric of layer statistics between sides: the rows of layers, their sums, and a function of two
    sums."""

    def __init__(self, scan: Scan, sides: Sequence[Side], question: Question):
        # Metrics of samples are compared elsewhere.
        self._metric = cast(SummedMetric, METRICS[question.metric])
        self._sides = sides
        self._balance: Balance = question.balance
        self._space = Space(scan.edges, scan.component_weights, np.asarray(scan.basis.components))
        reads_moments = self._metric.reads == "moments"
        self._rows = (
            _moment_rows(scan, question.clean)
            if reads_moments
            else layer_histograms(scan, question.clean)
        )
        self._sums = np.stack([self.rows([side]).sum(axis=0) for side in sides]).astype(np.float64)

    def rows(self, sides: Sequence[Side]) -> Num[np.ndarray, "layers features"]:
        """Return the weighted rows of the layers of some sides, side after side.

        Counts stay integers where each counts once: no copy of a whole scan in float64.
        """
        rows = self._rows[np.concatenate([side.group.layers for side in sides])]
        weights = np.concatenate([side.weights for side in sides])
        return rows if (weights == 1).all() else rows * weights[:, None]

    def row(self, i: int) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m d"]]:
        """The value from side `i` to every side, and what each component adds to it."""
        if isinstance(self._metric, HistogramMetric):
            p, space = self._probabilities, self._space
            shares = self._metric.components(p[i : i + 1], p, space.edges) * space.variance_ratio
        else:
            shares = self._metric.shares(self._space, self._sums[i : i + 1], self._sums)
        shares[i] = 0
        return shares.sum(axis=1), shares

    def matrices(self, sums: Float[np.ndarray, "sets m features"]) -> Float[np.ndarray, "sets m m"]:
        """Return the metric between all pairs of the rows of every set, which are sums of `rows`."""
        return self._metric.matrices(self._space, sums)

    def sampling(
        self, rng: np.random.Generator, i: int, j: int, replicates: int
    ) -> SamplingNull | None:
        """Draw both sides from their sum, a parametric bootstrap; its large-sample form for many pairs."""
        sizes = self._sides[i].size, self._sides[j].size
        if min(sizes) < 1:
            return None
        metric, pooled = self._metric, self._sums[i] + self._sums[j]
        pairs = len(self._sides) * (len(self._sides) - 1) // 2
        if metric.is_quick_to_draw or pairs <= MOST_DRAWN:
            return metric.sampling_null(rng, self._space, pooled, sizes, replicates=replicates)
        return metric.large_sample_null(self._space, pooled, sizes)

    def redrawn(
        self, rng: np.random.Generator, sides: Sequence[Side], replicates: int
    ) -> AxisNull | None:
        """Draw some sides from their sum; None for metrics without such a null."""
        sums = self._sums[[self._sides.index(side) for side in sides]]
        sizes = np.array([side.size for side in sides])
        return self._metric.redrawn_null(rng, self._space, sums, sizes, replicates=replicates)

    def population(
        self, rng: np.random.Generator, i: int, j: int, permutations: int
    ) -> PopulationNull:
        """Permute whole models, or layers within models, between both sides."""
        first, second = self._sides[i], self._sides[j]
        rows, statistic = self.rows([first, second]), self._metric.statistic(self._space)
        return permuted_null(rng, rows, first, second, statistic, self._balance, permutations)

    @functools.cached_property
    def _probabilities(self) -> Float[np.ndarray, "m d bins"]:
        d = len(self._space.variance_ratio)
        return np.asarray(
            probability(self._sums.reshape(len(self._sums), d, -1), self._space.edges)
        )


def _moment_rows(scan: Scan, clean: bool) -> Float[np.ndarray, "layers features"]:
    if clean:
        raise ValueError(
            "expected a metric of histograms for kernels without sparse ones, got frechet: a scan "
            "keeps the normalized moments of all kernels only"
        )
    return layer_moments(scan)
