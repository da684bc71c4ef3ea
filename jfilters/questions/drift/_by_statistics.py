"""Metrics of layer statistics: those of histograms, and the Frechet distance of moments."""

import functools
from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Float, Num

from ...scans import Scan
from ...shift import METRICS, PopulationNull, SamplingNull, UnitDrift, probability
from ...shift.internal import (
    HistogramMetric,
    Parts,
    Space,
    SummedMetric,
    SumsStatistic,
    pair_means,
    parts_drift,
    parts_null,
    parts_of,
)
from ._question import Question
from ._rows import layer_histograms, layer_moments
from ._sides import Side, dealt_sets

MOST_DRAWN = 300
"""Pairs whose sampling null is drawn; of more, those have one whose null is known without draws."""

_MOST_DEALT = 1_000_000  # numbers that are dealt for a pair: a tenth of a second
_FEWEST_DEALT = 40  # draws of a pair with many weights: its mean is then good to some percent

NO_THINNING = (
    "moments cannot be thinned to equal numbers of kernels: ask for a metric of histograms"
)


class StatisticsComparison:
    """A metric of layer statistics between sides: the rows of layers, their sums, and a function of two
    sums."""

    def __init__(self, scan: Scan, sides: Sequence[Side], question: Question):
        # Metrics of samples are compared elsewhere.
        self._metric = cast(SummedMetric, METRICS[question.metric])
        self._sides = sides
        self._space = Space(scan.edges, scan.component_weights, np.asarray(scan.basis.components))
        reads_moments = self._metric.reads == "moments"
        self._rows = (
            _moment_rows(scan, question.clean)
            if reads_moments
            else layer_histograms(scan, question.clean)
        )
        self._sums = np.stack([self.rows([side]).sum(axis=0) for side in sides]).astype(np.float64)

    @property
    def features(self) -> int:
        """The numbers of a layer's row."""
        return self._rows.shape[1]

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

    def sampling(
        self, rng: np.random.Generator, i: int, j: int, replicates: int
    ) -> SamplingNull | None:
        """Deal the kernels of both sides anew; None for many pairs of a metric without a formula."""
        sides = self._sides[i], self._sides[j]
        if min(side.kernels for side in sides) < 1:
            return None
        sets = dealt_sets(*sides)
        pooled = self._pooled[i] + self._pooled[j]
        null = self._metric.known_null(self._space, pooled, sets)
        pairs = len(self._sides) * (len(self._sides) - 1) // 2
        if null is not None or (pairs > MOST_DRAWN and not self._metric.is_quick_to_draw):
            return null
        affordable = max(_MOST_DEALT // (pooled.size * len(sets.sizes)), _FEWEST_DEALT)
        draws = min(replicates, affordable)
        return self._metric.sampling_null(rng, self._space, pooled, sets, replicates=draws)

    def population(
        self, rng: np.random.Generator, places: Sequence[int], permutations: int
    ) -> PopulationNull:
        """Permute whole units among some sides."""
        if not isinstance(self._metric, HistogramMetric):
            return PopulationNull(None, 1.0, False, NO_THINNING)
        ratio = self._space.variance_ratio
        statistic = None if self._metric.name == "drift" else self._statistic(len(places))
        parts = self._parts_of(places)
        return parts_null(rng, parts, ratio, permutations=permutations, statistic=statistic)

    def effect(self, i: int, j: int) -> UnitDrift | None:
        """Estimate drift between the populations of units of two sides; None for other metrics."""
        if self._metric.name != "drift":
            return None
        return parts_drift(self._parts_of([i, j]), self._space.variance_ratio)

    def _statistic(self, sides: int) -> SumsStatistic:
        if sides > 2:
            return lambda sums: pair_means(self._metric.matrices(self._space, sums))
        of_two = self._metric.statistic(self._space)
        return lambda sums: of_two(sums[:, 0], sums[:, 1])

    def _parts_of(self, places: Sequence[int]) -> Parts:
        """Return the parts of some sides, which are groups 0, 1, ... in this order."""
        number = np.full(len(self._sides), -1)
        number[list(places)] = np.arange(len(places))
        parts = self._parts
        chosen = parts.only(number[parts.group] >= 0)
        return chosen._replace(group=number[chosen.group])

    @functools.cached_property
    def _parts(self) -> Parts:
        layers, unit, matched = (
            np.concatenate([getattr(side, name) for side in self._sides])
            for name in ("layers", "unit", "matched")
        )
        group = np.repeat(np.arange(len(self._sides)), [len(side.unit) for side in self._sides])
        counts = self._rows.reshape(len(self._rows), len(self._space.variance_ratio), -1)
        return parts_of(counts, unit, group, matched, layers)

    @functools.cached_property
    def _pooled(self) -> Num[np.ndarray, "m features"]:
        """Whole kernels of every side, which sampling deals anew; of moments, what counts."""
        if not isinstance(self._metric, HistogramMetric):
            return self._sums
        return np.stack([self._rows[side.layers].sum(axis=0) for side in self._sides])

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
