"""Metrics that need single kernels: from the sample that a scan keeps, weighted by the balance."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ...scans import Scan
from ...shift import PopulationNull, SamplingNull, sinkhorn_divergence
from ...shift.internal import (
    Form,
    Statistic,
    energy_form,
    mmd_form,
    relabeled_null,
    sliced_wasserstein_form,
)
from ._points import sampled_points, thinned_points
from ._question import Question
from ._sides import Side


class SampleComparison:
    """A metric of samples between sides, as a function of the weights of both sides' points."""

    def __init__(self, scan: Scan, sides: Sequence[Side], question: Question):
        self._sides, self._metric, self._seed = sides, question.metric, question.seed
        # Kept for as long as questions about the same pair follow each other.
        self._statistic = functools.lru_cache(maxsize=1)(self._new_statistic)
        self._value = functools.cache(self._new_value)
        self._points = sampled_points(
            np.random.default_rng(question.seed), scan, sides, question.clean
        )

    @property
    def features(self) -> int:
        """The points of the largest side."""
        return max(len(side.points) for side in self._points)

    def row(self, i: int) -> tuple[Float[np.ndarray, " m"], None]:
        """The value from side `i` to every side; NaN where no kernel of a side was sampled."""
        # Every metric of samples is symmetric.
        places = (sorted((i, j)) for j in range(len(self._sides)))
        return np.array([self._value(*pair) for pair in places]), None

    def sampling(
        self, rng: np.random.Generator, i: int, j: int, replicates: int
    ) -> SamplingNull | None:
        """Permute the sampled kernels themselves between both sides."""
        first, second = self._points[i], self._points[j]
        if self._metric == "sinkhorn" or not (len(first.points) and len(second.points)):
            return None
        weights = np.concatenate([first.weights, second.weights])
        in_first = np.arange(len(weights)) < len(first.weights)
        labels = rng.permuted(np.tile(in_first, (replicates, 1)), axis=1)
        values = self._statistic(i, j)(labels * weights, ~labels * weights)
        return SamplingNull(float(np.mean(values)), float(np.quantile(values, 0.95)))

    def population(
        self, rng: np.random.Generator, places: Sequence[int], permutations: int
    ) -> PopulationNull:
        """Permute the sampled kernels of whole units between two sides, as many of every part."""
        if self._metric == "sinkhorn":
            return _none("sinkhorn would have to be solved again for every split")
        if len(places) > 2:
            return _none(f"{self._metric} is taken from a sample, which is compared pair by pair")
        sides = [self._points[place] for place in places]
        if not all(len(side.points) for side in sides):
            return _none("no kernel of one of the groups was sampled")
        points, parts, size = thinned_points(rng, sides, [self._sides[place] for place in places])
        form = self._form(places[0], places[1], points)
        null = relabeled_null(
            rng,
            parts.counts.reshape(len(parts.counts), -1),
            parts,
            permutations=permutations,
            statistic=lambda sums: form(_share(sums[:, 0]) - _share(sums[:, 1])),
        )
        return null._replace(kernels=size)

    def effect(self, i: int, j: int) -> None:
        """Return nothing: drift between populations of units is estimated from histograms."""
        return None

    def _new_value(self, i: int, j: int) -> float:
        first, second = self._points[i], self._points[j]
        if i == j:
            return 0.0
        if not (len(first.points) and len(second.points)):
            return np.nan
        if self._metric == "sinkhorn":
            return sinkhorn_divergence(first.points, second.points, first.weights, second.weights)
        rows = self._rows(i, j)
        count = len(self._sides[i].group.layers)
        a, b = rows[:count].sum(axis=0), rows[count:].sum(axis=0)
        return float(self._statistic(i, j)(a[None], b[None])[0])

    def _rows(self, i: int, j: int) -> Float[np.ndarray, "layers points"]:
        """Return the weights of the points of every layer of both sides."""
        first, second = self._points[i], self._points[j]
        count = len(self._sides[i].group.layers)
        layer = np.concatenate([first.layer, count + second.layer])
        rows = np.zeros((count + len(self._sides[j].group.layers), len(layer)))
        rows[layer, np.arange(len(layer))] = np.concatenate([first.weights, second.weights])
        return rows

    def _new_statistic(self, i: int, j: int) -> Statistic:
        form = self._form(i, j, np.concatenate([self._points[i].points, self._points[j].points]))
        return lambda first, second: form(_share(first) - _share(second))

    def _form(self, i: int, j: int, points: Float[np.ndarray, "n d"]) -> Form:
        # The same directions and frequencies for every split, and for the pair the other way.
        rng = np.random.default_rng([self._seed, min(i, j), max(i, j)])
        return {
            "sliced-wasserstein": lambda: sliced_wasserstein_form(rng, points),
            "energy": lambda: energy_form(points),
            "mmd": lambda: mmd_form(rng, points),
        }[self._metric]()


def _none(reason: str) -> PopulationNull:
    return PopulationNull(None, 1.0, False, reason)


def _share(weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r n"]:
    total = weights.sum(axis=1, keepdims=True)
    # A side that gets layers without any sampled kernel is compared as if it had all of them.
    return np.divide(
        weights, total, out=np.full_like(weights, 1 / weights.shape[1]), where=total > 0
    )
