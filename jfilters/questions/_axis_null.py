"""The null of a whole axis: one test of all its groups, by labels permuted among units."""

from collections.abc import Sequence

import numpy as np

from ..shift import PopulationNull
from .drift._drift import NOT_PERMUTED, Comparison
from .drift._question import Question
from .drift._sides import Side
from .drift._unit_words import reason_in

MOST_ADDED = 40_000_000_000
"""Numbers that are added up in all labelings of an axis: some seconds."""

FEWEST_RELABELED = 99
"""Labelings of an axis, for a p of 0.01."""


def axis_null(
    comparison: Comparison,
    sides: Sequence[Side],
    places: Sequence[int],
    question: Question,
    kind: str,
) -> PopulationNull:
    """Return the population null of the sides at some places: U summed over all pairs of groups.

    Fewer labelings than `question.permutations` where there are many groups and units.
    """
    if not question.permutations:
        return NOT_PERMUTED
    chosen = [sides[place] for place in places]
    parts = sum(side.units for side in chosen)
    affordable = max(MOST_ADDED // (parts * comparison.features * len(chosen)), FEWEST_RELABELED)
    rng = np.random.default_rng(question.seed)
    null = comparison.population(rng, places, min(question.permutations, affordable))
    return null._replace(reason=reason_in(null.reason, chosen, kind))
