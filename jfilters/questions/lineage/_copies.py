"""The copies in a family, made without training: which network was made from which, and how that shows."""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ...compare import Comparison
from ...lineage.internal import WITHOUT_PARTNER, Copy
from ._family import FamilyWeights

NEAREST = 6
"""Nearest relatives of a network among which its sources and its copies are looked for."""

PARALLEL = 0.999
"""Mean cosine of matched kernels that all copies reach but pruned, coarse and partial ones."""

DIFFERENT_ZEROS = 0.005
"""Difference of the shares of zeros from which one network may be the other pruned."""

CONTAINED = 0.9
"""Share of a network's kernels in another from which it is a part of that."""

NEAR = 0.8
"""Squared distance from a network in whose scale or order another is, as a share of that from its twin."""

_Source = tuple[Literal[0, 1] | None, str]
_CUES = {
    "quantized": "the other rounds to its grid",
    "pruned": "the zeros are in the copy alone",
    "transformed": "the relatives have the axes of the other",
}


def find_copies(family: FamilyWeights) -> list[Copy]:
    """Return the pairs of which one is a copy of the other, or both are of one network."""
    pairs = (pair for pair in _near_pairs(family) if _may_be_copy(family, *pair))
    copies = (_copy(family, i, j) for i, j in pairs)
    return [copy for copy in copies if copy is not None]


def _near_pairs(family: FamilyWeights) -> list[tuple[int, int]]:
    """Return each network with its nearest relatives, the first network of a pair below the second."""
    n = len(family)
    if n <= NEAREST:
        return list(itertools.combinations(range(n), 2))
    closeness = family.cosine - WITHOUT_PARTNER * family.unmatched
    np.fill_diagonal(closeness, -np.inf)
    nearest = np.argsort(-closeness, axis=1, kind="stable")[:, :NEAREST].tolist()
    return sorted({(min(i, j), max(i, j)) for i in range(n) for j in nearest[i]})


def _may_be_copy(family: FamilyWeights, i: int, j: int) -> bool:
    """Return whether a pair is worth a comparison, which takes a hundred times as long as this."""
    a, b = family.members[i], family.members[j]
    is_coarse = a.is_coarse or b.is_coarse or abs(a.zeros - b.zeros) >= DIFFERENT_ZEROS
    is_part = max(family.contained[i, j], family.contained[j, i]) > 0
    return bool(family.cosine[i, j] >= PARALLEL or is_coarse or is_part or family.reordered[i, j])


def _copy(family: FamilyWeights, i: int, j: int) -> Copy | None:
    comparison = family.comparison(i, j)
    relation = comparison.relation
    if relation.label in ("identical", "re-saved"):
        return _made(i, j, relation.label, _saved_from(family, i, j, comparison))
    if relation.label in ("quantized", "pruned"):
        return _made(i, j, relation.label, (relation.source, _CUES[relation.label]))
    if relation.label == "rescaled per channel" or _is_scaled(comparison):
        return _made(i, j, "rescaled", _unfolded(family, i, j))
    if relation.label == "related, transformed" and not relation.caveat:
        return _made(i, j, "transformed", (_nearer_to_all(family, i, j), _CUES["transformed"]))
    return _part(family, i, j)


def _is_scaled(comparison: Comparison) -> bool:
    """Return whether kernels alone have other signs or lengths: their taps are where they were."""
    if comparison.relation.label != "related, transformed" or comparison.relation.caveat:
        return False
    turns = [layer.transform for layer in comparison.layers if layer.transform is not None]
    return all(turn.is_negation for turn in turns)


def _made(i: int, j: int, relation: str, source: _Source) -> Copy:
    """Return the copy with its source, 0 the first and 1 the second network, and the cue for it."""
    place, cue = source
    if place is None:
        return Copy(i, j, relation)
    return Copy(i, j, relation, cue) if place == 0 else Copy(j, i, relation, cue)


def _saved_from(family: FamilyWeights, i: int, j: int, comparison: Comparison) -> _Source:
    """Return which of two equal networks the other was saved from."""
    if any(layer.difference.changed for layer in comparison.layers):
        a, b = family.members[i].precision, family.members[j].precision
        if a != b:
            return (0 if a > b else 1), "values were lost to rounding"
    if any(layer.reordered for layer in comparison.layers):
        cue = "the relatives have the order of channels of the other"
        return _nearer_to_all(family, i, j), cue
    return None, ""


def _unfolded(family: FamilyWeights, i: int, j: int) -> _Source:
    """Return which of two equivalent networks has the BatchNorm that the other lacks."""
    has = family.batchnorm[i], family.batchnorm[j]
    if has in ((True, False), (False, True)):
        return (0 if has[0] else 1), "BatchNorm is folded into the kernels"
    return _nearer_to_all(family, i, j), "the relatives have the scale of the other"


def _part(family: FamilyWeights, i: int, j: int) -> Copy | None:
    """Return the pair of which one has nothing but kernels of the other.

    The smaller one was made from the other if it lost channels; with whole layers either may be the first.
    """
    shares = family.contained[i, j], family.contained[j, i]
    if max(shares) < CONTAINED or min(shares) >= CONTAINED:
        return None
    part = i if shares[0] >= CONTAINED else j
    has_whole_layers = len(family.places(i, j)) == len(family.members[part].layers)
    source: Literal[0, 1] | None = None if has_whole_layers else (1 if part == i else 0)
    cue = "the other has more channels of the same kernels"
    return _made(i, j, "sub-network", (source, cue))


def _nearer_to_all(family: FamilyWeights, i: int, j: int) -> Literal[0, 1] | None:
    """Return the one of two equivalent networks in whose scale and order most relatives are."""
    relatives: Sequence[int] = [k for k in range(len(family)) if k not in (i, j)]
    distances = [(family.matched_distance(k, i), family.matched_distance(k, j)) for k in relatives]
    first = sum(a < NEAR * b for a, b in distances)
    second = sum(b < NEAR * a for a, b in distances)
    if max(first, second) <= 2 * min(first, second):
        return None
    return 0 if first > second else 1
