"""Metrics that need single kernels: from the sample that a scan keeps, weighted by the balance."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ...scans import Scan
from ...shift import PopulationNull, SamplingNull, sinkhorn_divergence
from ...shift.internal import Statistic, energy_form, mmd_form, sliced_wasserstein_form
from ._points import sampled_points
from ._question import Balance, Question
from ._sides import Side, permuted_null


class SampleComparison:
    """A metric of samples between sides, as a function of the weights of both sides' points."""

    def __init__(self, scan: Scan, sides: Sequence[Side], question: Question):
        self._sides, self._metric, self._seed = sides, question.metric, question.seed
        self._balance: Balance = question.balance
        # Kept for as long as questions about the same pair follow each other.
        self._statistic = functools.lru_cache(maxsize=1)(self._new_statistic)
        self._value = functools.cache(self._new_value)
        self._points = sampled_points(
            np.random.default_rng(question.seed), scan, sides, question.clean
        )

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
        self, rng: np.random.Generator, i: int, j: int, permutations: int
    ) -> PopulationNull:
        """Permute the sampled kernels of whole models, or of layers within models."""
        if self._metric == "sinkhorn":
            return PopulationNull(
                None, 1.0, False, "sinkhorn would have to be solved again for every split"
            )
        if not (len(self._points[i].points) and len(self._points[j].points)):
            return PopulationNull(None, 1.0, False, "no kernel of one of the groups was sampled")
        first, second = self._sides[i], self._sides[j]
        return permuted_null(
            rng,
            self._rows(i, j),
            first,
            second,
            self._statistic(i, j),
            self._balance,
            permutations,
        )

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
        points = np.concatenate([self._points[i].points, self._points[j].points])
        # The same directions and frequencies for every split, and for the pair the other way.
        rng = np.random.default_rng([self._seed, min(i, j), max(i, j)])
        form = {
            "sliced-wasserstein": lambda: sliced_wasserstein_form(rng, points),
            "energy": lambda: energy_form(points),
            "mmd": lambda: mmd_form(rng, points),
        }[self._metric]()
        return lambda first, second: form(_share(first) - _share(second))


def _share(weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r n"]:
    total = weights.sum(axis=1, keepdims=True)
    # A side that gets layers without any sampled kernel is compared as if it had all of them.
    return np.divide(
        weights, total, out=np.full_like(weights, 1 / weights.shape[1]), where=total > 0
    )
