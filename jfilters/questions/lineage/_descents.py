"""Averages in a family, and networks that were trained onward from an average or a copy."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...lineage.internal import Copy, Descent, Soup, find_soups
from ._family import FamilyWeights

NEAR_RESCALED = 0.8
"""Squared distance of a child from a rescaled copy, as a share of that from its source."""

RIGHT_ANGLE = (-0.3, 0.4)
"""Cosines under which the base of two parts of an average sees both."""

SAME_NETWORK = 0.9995
"""Mean cosine from which a network may be a copy of another: as a base it would be the same one."""

KEPT_ZEROS = 0.98
"""Share of the zeros of a pruned network that a network trained onward from it has."""

CHILD_OF_COPY = -0.5
"""Difference of the squared distances from a rounded copy and from its source, in squared lengths of the
rounding: -1 for a child of the copy, 1 for one of the source, 0 for a network in another order."""

LARGEST_ERROR = 0.3
"""Standard deviation up to which it shows whether a network descends from a rounded copy or its source."""


def averages(family: FamilyWeights, copies: Sequence[Copy]) -> list[Soup]:
    """Return the averages among networks of the same layers; copies are neither these nor their parts."""
    aside = {copy.copy for copy in copies}
    return [soup for group in _same_layers(family, aside) for soup in _in_group(family, group)]


def descents(
    family: FamilyWeights,
    copies: Sequence[Copy],
    soups: Sequence[Soup],
    updates: Sequence[int | None],
) -> list[Descent]:
    """Return the networks that were trained onward from a copy or an average, each from the nearest.

    Args:
        family: the networks.
        copies, soups: its copies and averages.
        updates: the training steps that each network's file counts.
    """
    aside = {copy.copy for copy in copies if copy.directed} | {soup.network for soup in soups}
    sources = {(copy.source, copy.copy) for copy in copies}
    originals = [copy for copy in copies if copy.directed and copy.source not in aside]
    result: dict[int, Descent] = {}
    for child in range(len(family)):
        if child in aside:
            continue
        relatives = [copy for copy in originals if (child, copy.copy) not in sources]
        ancestors = [_from_copy(family, child, copy) for copy in relatives]
        ancestors += [_from_soup(family, child, soup, updates, aside) for soup in soups]
        likely = [descent for descent in ancestors if descent is not None]
        if likely:
            result[child] = max(likely, key=lambda x: family.cosine[x.child, x.ancestor])
    return list(result.values())


def _same_layers(family: FamilyWeights, aside: set[int]) -> Iterator[list[int]]:
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for i in range(len(family)):
        if i not in aside:
            groups.setdefault(family.sizes(i), []).append(i)
    yield from groups.values()


def _in_group(family: FamilyWeights, group: Sequence[int]) -> list[Soup]:
    if len(group) < 3:
        return []
    soups = find_soups(np.stack([family.flat(i) for i in group]))
    return [
        Soup(group[s.network], tuple(group[i] for i in s.parts), s.shares, s.residual)
        for s in soups
    ]


def _from_copy(family: FamilyWeights, child: int, copy: Copy) -> Descent | None:
    """Return the evidence that a network was trained onward from a copy and not from its source."""
    if family.reordered[child, copy.copy]:
        return None
    if family.reordered[child, copy.source]:
        return Descent(copy.copy, child, "channels in the order of the copy")
    if copy.relation == "pruned":
        return _with_zeros(family, child, copy)
    to_copy, to_source = family.distance(child, copy.copy), family.distance(child, copy.source)
    if to_copy is None or to_source is None:
        return None
    if copy.relation == "rescaled":
        is_child = to_copy < NEAR_RESCALED * to_source
        return Descent(copy.copy, child, "nearer to the rescaled copy") if is_child else None
    return _from_rounded(family, child, copy, to_copy, to_source)


def _from_rounded(
    family: FamilyWeights, child: int, copy: Copy, to_copy: float, to_source: float
) -> Descent | None:
    step = family.distance(copy.copy, copy.source)
    if not step:
        return None
    n = sum(layer.weight.size for layer in family.members[child].layers)
    error = 2 * np.sqrt(to_source / (step * n))
    is_child = error <= LARGEST_ERROR and (to_copy - to_source) / step < CHILD_OF_COPY
    return Descent(copy.copy, child, "nearer to the rounded copy") if is_child else None


def _with_zeros(family: FamilyWeights, child: int, copy: Copy) -> Descent | None:
    pairs = family.pairs(child, copy.copy)
    zeros = sum(np.count_nonzero(b == 0) for _, b in pairs)
    common = sum(np.count_nonzero((a == 0) & (b == 0)) for a, b in pairs)
    if not zeros or common < KEPT_ZEROS * zeros:
        return None
    return Descent(copy.copy, child, f"has {common / zeros:.0%} of the zeros of the pruned one")


def _from_soup(
    family: FamilyWeights,
    child: int,
    soup: Soup,
    updates: Sequence[int | None],
    aside: set[int],
) -> Descent | None:
    """Return the evidence that a network was trained onward from an average.

    It is nearer to the average than to each part, and counts more steps. Without counters it sees two parts
    under another angle than their common base, which is near the average too, or another one is that base.
    """
    if child in soup.parts:
        return None
    to_soup = family.distance(child, soup.network)
    to_parts = [family.distance(child, part) for part in soup.parts]
    if to_soup is None or any(part is None or to_soup >= part for part in to_parts):
        return None
    before, after = updates[soup.network], updates[child]
    if before is None or after is None:
        is_younger = _sees_apart(family, child, soup.parts) or _has_other_base(
            family, child, soup, aside
        )
    else:
        is_younger = after > before
    if not is_younger:
        return None
    return Descent(soup.network, child, "nearer to the average than to its parts")


def _sees_apart(family: FamilyWeights, child: int, parts: Sequence[int]) -> bool:
    directions = [family.flat(part) - family.flat(child) for part in parts[:2]]
    lengths = [np.linalg.norm(x) for x in directions]
    cosine = float(directions[0] @ directions[1] / max(lengths[0] * lengths[1], 1e-30))
    return not RIGHT_ANGLE[0] <= cosine <= RIGHT_ANGLE[1]


def _has_other_base(family: FamilyWeights, child: int, soup: Soup, aside: set[int]) -> bool:
    """Return whether another network sees the parts as their base does, and has all others nearer to it."""
    involved = {child, *soup.parts} | aside
    relatives = [
        i
        for i in range(len(family))
        if i not in involved and family.sizes(i) == family.sizes(child)
    ]
    for base in relatives:
        others = [i for i in relatives if i != base]
        is_copy = family.cosine[base, child] >= SAME_NETWORK
        nearer = all(family.cosine[i, base] > family.cosine[i, child] for i in others)
        if others and nearer and not is_copy and not _sees_apart(family, base, soup.parts):
            return True
    return False
