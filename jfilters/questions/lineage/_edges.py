"""The edges of one family: by the weights of its members, or by their sketches where weights are
missing."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from ...lineage import Families
from ...lineage.internal import TRAINED, Edge, Soup, grow, orient
from ._angles import doubts
from ._copies import find_copies
from ._descents import averages, descents
from ._drifts import layer_drifts
from ._evidence import evidence_line, layer_changes
from ._family import FamilyWeights
from ._forest import LineageEdge
from ._population import Population
from ._sketched_family import FamilySketches
from ._weights import Member

ANCESTOR = "common ancestor"
"""Relation of two networks of which neither was trained onward from the other."""

UNKNOWN = "unknown"
"""Relation of kin whose weights were not read."""


def edges_of(
    population: Population,
    families: Families,
    group: Sequence[int],
    members: Mapping[int, Member],
) -> list[LineageEdge]:
    """Return the edges of one family: by weights if those of all its models were read.

    Args:
        population: all models.
        families: their families.
        group: the models of the family, by their places.
        members: models with their weights, by their places.
    """
    if all(i in members for i in group):
        return _by_weights(population, families, group, members)
    return _by_sketches(population, families, group)


def _by_sketches(
    population: Population, families: Families, group: Sequence[int]
) -> list[LineageEdge]:
    updates = [population.updates[i] for i in group]
    family = FamilySketches(families, population.networks, group)
    copies = family.copies([population.dtype[i] for i in group])
    edges = grow(family.cosine, family.unmatched, copies, updates=updates)
    edges = orient(_siblings(edges, updates), updates)
    return [
        _described(
            population,
            group,
            edge._replace(relation=UNKNOWN) if edge.relation in (TRAINED, ANCESTOR) else edge,
            _link(families, group, edge),
            evidence_line(edge, None, (), updates, None),
        )
        for edge in edges
    ]


def _by_weights(
    population: Population,
    families: Families,
    group: Sequence[int],
    members: Mapping[int, Member],
) -> list[LineageEdge]:
    updates = [population.updates[i] for i in group]
    family = FamilyWeights(
        [members[i] for i in group],
        [population.batchnorm[i] for i in group],
        _reordered(families, group),
        families.contained[np.ix_(group, group)],
    )
    copies = find_copies(family)
    soups = averages(family, copies)
    branches = descents(family, copies, soups, updates)
    edges = grow(family.cosine, family.unmatched, copies, soups, branches, updates)
    edges = orient(_siblings(edges, updates, family), updates)
    of_child = {soup.network: soup for soup in soups}
    lines = [
        _with_layers(population, families, group, family, edge, updates, of_child.get(edge.child))
        for edge in edges
    ]
    for place, phrase in doubts(family, edges).items():
        lines[place] = lines[place].with_evidence(phrase)
    return lines


def _with_layers(
    population: Population,
    families: Families,
    group: Sequence[int],
    family: FamilyWeights,
    edge: Edge,
    updates: Sequence[int | None],
    soup: Soup | None,
) -> LineageEdge:
    first, second = sorted((edge.parent, edge.child))
    comparison = family.comparison(first, second)
    drifts = layer_drifts(population, group[edge.parent], group[edge.child], comparison)
    facts = zip(family.n_kernels(first, second), family.frozen(first, second), strict=True)
    changes = layer_changes(comparison, list(facts), drifts, turned=edge.parent != first)
    soup = soup if edge.relation == "soup" else None
    cosine, z = _link(families, group, edge)
    if family.reordered[first, second]:
        cosine = float(family.cosine[first, second])
    evidence = evidence_line(edge, comparison, changes, updates, soup)
    return _described(population, group, edge, (cosine, z), evidence).with_layers(changes)


def _reordered(families: Families, group: Sequence[int]) -> Bool[np.ndarray, "m m"]:
    """Return the pairs whose channels may be in different orders: their sketches are those of strangers."""
    index = np.ix_(group, group)
    strange = np.abs(families.kinship.z[index]) < families.alarm.z
    hidden = np.any(families.permuted[index], axis=0)
    return strange & np.logical_or.outer(hidden, hidden)


def _siblings(
    edges: Iterable[Edge], updates: Sequence[int | None], family: FamilyWeights | None = None
) -> list[Edge]:
    """Return the edges with those between networks of equal counters marked: neither is the parent.

    A low-rank change was added to the weights without counting steps.
    """

    def is_sibling(edge: Edge) -> bool:
        counts = updates[edge.parent], updates[edge.child]
        if edge.relation != TRAINED or edge.directed or None in counts or counts[0] != counts[1]:
            return False
        return family is None or not family.changes_low_rank(*sorted((edge.parent, edge.child)))

    return [edge._replace(relation=ANCESTOR) if is_sibling(edge) else edge for edge in edges]


def _link(families: Families, group: Sequence[int], edge: Edge) -> tuple[float, float]:
    """Return the cosine of the sketches of both ends, and its z."""
    ends = group[edge.parent], group[edge.child]
    return float(families.kinship.cosine[ends]), float(families.kinship.z[ends])


def _described(
    population: Population,
    group: Sequence[int],
    edge: Edge,
    link: tuple[float, float],
    evidence: str,
) -> LineageEdge:
    names = population.networks.names
    return LineageEdge(
        names[group[edge.parent]],
        names[group[edge.child]],
        edge.relation,
        edge.directed,
        edge.cue if edge.directed else "",
        evidence,
        *link,
    )
