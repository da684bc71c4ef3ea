"""The three-point check: steps of training that meet at a network are nearly orthogonal."""

from collections.abc import Sequence

import numpy as np

from ...lineage.internal import TRAINED, Edge
from ._family import FamilyWeights

USUAL = (-0.3, 0.5)
"""Cosines between two steps that meet at their common end; others make both edges doubtful."""

MOST_NEIGHBORS = 64
"""Neighbors of a network that are looked at."""


def doubts(family: FamilyWeights, edges: Sequence[Edge]) -> dict[int, str]:
    """Return a phrase for each edge that meets another one under an unusual angle, by its place.

    Of two networks whose steps from a third point the same way, one may descend from the other; of opposite
    ones the third may be between two others that are not in the folder.
    """
    phrases: dict[int, str] = {}
    for network in range(len(family)):
        places = [
            place
            for place, edge in enumerate(edges)
            if edge.relation == TRAINED and network in (edge.parent, edge.child)
            if family.sizes(_other(edge, network)) == family.sizes(network)
        ][:MOST_NEIGHBORS]
        for place, cosine in _unusual(family, network, [edges[i] for i in places]).items():
            name = family.members[network].name
            phrases[places[place]] = (
                f"doubtful: steps meet at {name} under a cosine of {cosine:.2f}"
            )
    return phrases


def _unusual(family: FamilyWeights, network: int, edges: Sequence[Edge]) -> dict[int, float]:
    """Return the most unusual cosine of each edge with another one at the same network."""
    if len(edges) < 2:
        return {}
    steps = np.stack([family.flat(_other(edge, network)) for edge in edges]) - family.flat(network)
    lengths = np.linalg.norm(steps, axis=1)
    units = steps / np.where(lengths > 0, lengths, 1)[:, None]
    cosines = (units @ units.T).astype(np.float64)
    np.fill_diagonal(cosines, 0)
    excess = np.maximum(USUAL[0] - cosines, cosines - USUAL[1])
    worst = excess.argmax(axis=1)
    return {i: float(cosines[i, j]) for i, j in enumerate(worst.tolist()) if excess[i, j] > 0}


def _other(edge: Edge, network: int) -> int:
    return edge.child if edge.parent == network else edge.parent
