"""Histograms of two sides dealt anew from their sum, without replacement: what sampling alone makes.

Given the pooled counts this is exact for each component. A bootstrap, which draws with replacement, fills a
bin of a single kernel on both sides or on none, and its null is too low.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64, Num

from ._thinning import dealt_counts, shares

_RATIO = 1.5  # of the weights of sets that are dealt as one: within a quarter of their mean


class DealtSets(NamedTuple):
    """Sets of kernels that are dealt anew: the number of kernels, the side and the weight of each.

    A side is the sum of its sets, each times its weight. Without weights a side is one set.
    """

    sizes: Int64[np.ndarray, " sets"]
    in_first: Bool[np.ndarray, " sets"]
    weights: Float[np.ndarray, " sets"]

    @classmethod
    def of(
        cls,
        sizes: Num[np.ndarray, " sets"],
        in_first: Bool[np.ndarray, " sets"],
        weights: Float[np.ndarray, " sets"],
    ) -> "DealtSets":
        """Merge sets of one side with alike weights: a kernel may fall into any of them."""
        is_filled = sizes > 0
        sizes, in_first, weights = sizes[is_filled], in_first[is_filled], weights[is_filled]
        rank = np.rint(np.log(weights) / np.log(_RATIO)).astype(np.int64)
        _, place = np.unique(np.stack([in_first, rank]), axis=1, return_inverse=True)
        place = place.reshape(-1)
        totals = np.bincount(place, sizes)
        sides = np.zeros(len(totals), bool)
        sides[place] = in_first
        means = np.bincount(place, sizes * weights) / totals
        return cls(totals.astype(np.int64), sides, means)

    @property
    def is_weighted(self) -> bool:
        """True where kernels of one side have different weights."""
        return len(self.sizes) > 2

    @property
    def sides(self) -> tuple[int, int]:
        """The number of kernels of each side."""
        return int(self.sizes[self.in_first].sum()), int(self.sizes[~self.in_first].sum())

    @property
    def effective(self) -> tuple[float, float]:
        """The `effective_size` of each side."""
        first, second = (
            effective_size(self.sizes[side], self.weights[side])
            for side in (self.in_first, ~self.in_first)
        )
        return first, second


def effective_size(sizes: Num[np.ndarray, " sets"], weights: Float[np.ndarray, " sets"]) -> float:
    """Return the number of equally weighted kernels with a mean of the same variance.

    Source: Kish, "Survey sampling", 1965.
    """
    squares = float(sizes @ weights**2)
    return float(sizes @ weights) ** 2 / squares if squares > 0 else 0.0


def redealt(
    rng: np.random.Generator,
    pooled: Num[np.ndarray, "d bins"],
    sets: DealtSets,
    replicates: int,
) -> tuple[Float[np.ndarray, "replicates d bins"], Float[np.ndarray, "replicates d bins"]]:
    """Return the weighted histograms of both sides, `replicates` times.

    Where the pooled histogram holds fewer kernels than the sets, as many are drawn from it first, with
    replacement. Components are dealt independently of each other.
    """
    remaining = np.tile(_enough(rng, pooled, int(sets.sizes.sum())), (replicates, 1, 1))
    first, second = (np.zeros(remaining.shape) for _ in range(2))
    for size, in_first, weight in zip(*sets, strict=True):
        dealt = dealt_counts(rng, remaining, int(size))
        remaining -= dealt
        side = first if in_first else second
        side += float(weight) * dealt
    return first, second


def _enough(
    rng: np.random.Generator, pooled: Num[np.ndarray, "d bins"], size: int
) -> Int64[np.ndarray, "d bins"]:
    counts = np.rint(pooled).astype(np.int64)
    if (counts.sum(axis=-1) >= size).all():
        return counts
    probabilities = shares(pooled)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    return np.stack([rng.multinomial(size, row) for row in probabilities])
