"""Metrics of layer statistics: those of histograms, and the Frechet distance of moments."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ...scans import Scan
from ...scans.internal import selected
from ...shift import METRICS, PopulationNull, SamplingNull, probability, sampling_null
from ...shift.internal import (
    Statistic,
    components_of,
    frechet_components,
    frechet_null,
    histogram_statistic,
    large_sample_null,
    metric_matrix,
)
from ...statistics import Moments
from ._question import Balance, Question
from ._sides import Side, permuted_null
from ._units import layer_histograms, layer_moments

MOST_DRAWN = 300
"""Pairs whose sampling null is drawn; of more, that of drift follows from its large-sample form."""


class StatisticsComparison:
    """A metric of layer statistics between sides: the rows of layers, their sums, and a function of two
    sums."""

    def __init__(self, scan: Scan, sides: Sequence[Side], question: Question):
        metric, clean = question.metric, question.clean
        self._sides, self._metric = sides, metric
        self._balance: Balance = question.balance
        self._edges, self._ratio = scan.edges, scan.component_weights
        self._d = scan.d
        if METRICS[metric].reads == "moments":
            self._rows = _moment_rows(scan, clean)
            self._axes = np.asarray(scan.basis.components)
            self._statistic: Statistic = lambda a, b: self._frechet_shares(a, b).sum(axis=-1)
        else:
            self._rows = layer_histograms(scan, clean)
            self._statistic = histogram_statistic(metric, self._ratio, self._edges)
        self.sums = np.stack([self._sum(side) for side in sides])

    @property
    def rows(self) -> Float[np.ndarray, "layers features"]:
        """Weighted rows of the layers of all sides, side after side."""
        return np.concatenate([self._weighted(side) for side in self._sides])

    def row(self, i: int) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m d"]]:
        """The value from side `i` to every side, and what each component adds to it."""
        if METRICS[self._metric].reads == "moments":
            shares = self._frechet_shares(self.sums[i : i + 1], self.sums)
        else:
            p = self._probabilities
            shares = components_of(self._metric)(p[i : i + 1], p, self._edges) * self._ratio
        shares[i] = 0
        return shares.sum(axis=1), shares

    def matrix(self, sums: Float[np.ndarray, "m features"]) -> Float[np.ndarray, "m m"]:
        """The metric between all pairs of sums of `rows`, whatever they are sums of."""
        if METRICS[self._metric].reads == "moments":
            every = [self._frechet_shares(row[None], sums).sum(axis=-1) for row in sums]
            return np.stack(every)
        p = np.asarray(probability(sums.reshape(len(sums), self._d, -1), self._edges))
        return metric_matrix(self._metric, p, self._ratio, self._edges)

    def sampling(
        self, rng: np.random.Generator, i: int, j: int, replicates: int
    ) -> SamplingNull | None:
        """Draw both sides from their sum, a parametric bootstrap; its large-sample form for many pairs."""
        sizes = self._sides[i].size, self._sides[j].size
        pooled = self.sums[i] + self.sums[j]
        if min(sizes) < 1:
            return None
        if METRICS[self._metric].reads == "moments":
            moments = selected(_moments_of(pooled[None], self._d), 0)
            values = frechet_null(rng, moments, sizes, replicates=replicates)
            return SamplingNull(float(np.mean(values)), float(np.quantile(values, 0.95)))
        histogram = pooled.reshape(self._d, -1)
        if len(self._sides) * (len(self._sides) - 1) // 2 <= MOST_DRAWN:
            return sampling_null(
                rng,
                self._metric,
                histogram,
                sizes,
                self._ratio,
                self._edges,
                replicates=replicates,
            )
        if self._metric == "drift":
            return large_sample_null(sizes, histogram, self._ratio)
        return None

    def population(
        self, rng: np.random.Generator, i: int, j: int, permutations: int
    ) -> PopulationNull:
        """Permute whole models, or layers within models, between both sides."""
        first, second = self._sides[i], self._sides[j]
        rows = np.concatenate([self._weighted(first), self._weighted(second)])
        return permuted_null(rng, rows, first, second, self._statistic, self._balance, permutations)

    def _weighted(self, side: Side) -> Float[np.ndarray, "layers features"]:
        rows = self._rows[side.group.layers].astype(np.float64)
        if (side.weights != 1).any():
            rows *= side.weights[:, None]
        return rows

    def _sum(self, side: Side) -> Float[np.ndarray, " features"]:
        # Counts stay integers where each counts once: no copy of a whole scan in float64.
        if (side.weights == 1).all():
            return self._rows[side.group.layers].sum(axis=0).astype(np.float64)
        return self._weighted(side).sum(axis=0)

    @functools.cached_property
    def _probabilities(self) -> Float[np.ndarray, "m d bins"]:
        return np.asarray(probability(self.sums.reshape(len(self.sums), self._d, -1), self._edges))

    def _frechet_shares(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        a, b = (_moments_of(x, self._d) for x in (first, second))
        return frechet_components(a, b, self._axes)


def _moment_rows(scan: Scan, clean: bool) -> Float[np.ndarray, "layers features"]:
    if clean:
        raise ValueError(
            "expected a metric of histograms for kernels without sparse ones, got frechet: a scan "
            "keeps the normalized moments of all kernels only"
        )
    return layer_moments(scan)


def _moments_of(rows: Float[np.ndarray, "r features"], d: int) -> Moments:
    """Back from count, sum and sum of outer products."""
    count = np.maximum(rows[:, 0], 1)
    mean = rows[:, 1 : d + 1] / count[:, None]
    outer = rows[:, d + 1 :].reshape(-1, d, d)
    return Moments(count, mean, outer - count[:, None, None] * mean[:, :, None] * mean[:, None, :])
