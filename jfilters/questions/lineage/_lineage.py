"""Lineage: which models of a scan are kin, and who came from whom."""

import dataclasses
import functools
import operator
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool

from ...lineage import Families, find_families
from ...lineage.internal import TRAINED, Edge, Soup, grow, orient
from ...scans import Scan
from ._drifts import layer_drifts
from ._evidence import evidence_line, layer_changes
from ._family import FamilyWeights
from ._forest import Family, Forest, LineageEdge
from ._hidden import hidden_kin
from ._population import Population
from ._sketched_family import FamilySketches
from ._weights import Member

ANCESTOR = "common ancestor"
"""Relation of two networks of which neither was trained onward from the other."""

UNKNOWN = "unknown"
"""Relation of kin whose weights were not read."""

NOT_SEARCHED = (
    "networks with their channels in another order, and trained onward, were not looked for"
)


def find_lineage(
    scan: Scan, *others: Scan, weights: bool = True, against: Scan | None = None
) -> Forest:
    """Return the families of the models of scans, and the edges from parents to children.

    Families follow from the sketches that every scan keeps. Relations and most directions need the weights
    of kin, which are read once more where the checkpoints still are what was scanned.

    Args:
        scan, others: one scan or more, in memory or opened.
        weights: read the weights of models in families. Without it relations are unknown but for equal
            networks, and directions follow from counters alone.
        against: a scan or bundle of known models; then only families with a model of the scans count.

    Returns:
        Families, edges with relation, direction and evidence, and the chance of any false link.

    Raises:
        ValueError: a scan of an earlier version has no sketches, or there are more models than are compared.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> folder, rng = tempfile.mkdtemp(), np.random.default_rng(0)
    >>> weights = rng.normal(size=(16, 16, 3, 3)).astype(np.float32)
    >>> for name, values in (("a", weights), ("b", weights.astype(np.float16))):
    ...     safetensors.numpy.save_file({"conv.weight": values}, f"{folder}/{name}.safetensors")
    >>> (edge,) = jf.scan(folder, progress=False).lineage().edges
    >>> edge.parent, edge.relation, edge.child
    ('a.safetensors', 're-saved', 'b.safetensors')
    """
    population = functools.reduce(operator.add, map(Population.of, (scan, *others)))
    first_new = 0
    if against is not None:
        known = Population.of(against)
        first_new, population = len(known), known + population
    families, members, notes = _families(population, weights=weights)
    groups = [group for group in families.members() if max(group) >= first_new]
    edges = [
        edge
        for group in groups
        if len(group) > 1
        for edge in _edges(population, families, group, members)
    ]
    return _forest(population, families, groups, edges, members, notes)


def _families(
    population: Population, *, weights: bool
) -> tuple[Families, dict[int, Member], tuple[str, ...]]:
    families = find_families(population.networks)
    if not weights:
        return families, {}, (NOT_SEARCHED,)
    kin, is_whole = hidden_kin(population, families)
    if kin.any():
        families = find_families(population.networks, kin)
    relatives = [i for group in families.members() if len(group) > 1 for i in group]
    return families, population.members(relatives), () if is_whole else (NOT_SEARCHED,)


def _edges(
    population: Population, families: Families, group: list[int], members: dict[int, Member]
) -> list[LineageEdge]:
    """Return the edges of one family: by weights if those of all its models were read."""
    updates = [population.updates[i] for i in group]
    if all(i in members for i in group):
        return _by_weights(population, families, group, members, updates)
    family = FamilySketches(families, population.networks, group)
    copies = family.copies([population.dtype[i] for i in group])
    edges = orient(_siblings(grow(family.cosine, family.unmatched, copies, updates=updates), updates), updates)
    edges = [_with(edge, UNKNOWN) if edge.relation in (TRAINED, ANCESTOR) else edge for edge in edges]
    names = [population.networks.names[i] for i in group]
    return [
        _described(
            edge,
            names,
            _link(families, group, edge),
            evidence_line(edge, names, None, (), updates, None),
        )
        for edge in edges
    ]


def _by_weights(
    population: Population,
    families: Families,
    group: list[int],
    members: dict[int, Member],
    updates: Sequence[int | None],
) -> list[LineageEdge]:
    batchnorm = [population.batchnorm[i] for i in group]
    family = FamilyWeights(
        [members[i] for i in group],
        batchnorm,
        _reordered(families, group),
        families.contained[np.ix_(group, group)],
    )
    copies = family.copies()
    soups = family.soups(copies)
    descents = family.descents(copies, soups, updates)
    edges = grow(family.cosine, family.unmatched, copies, soups, descents, updates)
    edges = orient(_siblings(edges, updates, family), updates)
    of_child = {soup.network: soup for soup in soups}
    names = [population.networks.names[i] for i in group]
    result = []
    for edge in edges:
        soup = of_child.get(edge.child) if edge.relation == "soup" else None
        result.append(
            _edge_by_weights(population, families, family, group, names, edge, updates, soup)
        )
    return result


def _edge_by_weights(
    population: Population,
    families: Families,
    family: FamilyWeights,
    group: list[int],
    names: Sequence[str],
    edge: Edge,
    updates: Sequence[int | None],
    soup: Soup | None,
) -> LineageEdge:
    first, second = sorted((edge.parent, edge.child))
    comparison = family.comparison(first, second)
    drifts = layer_drifts(population, group[edge.parent], group[edge.child], comparison)
    changes = layer_changes(
        comparison, family.frozen(first, second), drifts, turned=edge.parent != first
    )
    evidence = evidence_line(edge, names, comparison, changes, updates, soup)
    cosine, z = _link(families, group, edge)
    if family.is_reordered(first, second):
        cosine = float(family.cosine[first, second])
    line = _described(edge, names, (cosine, z), evidence)
    return dataclasses.replace(line, layers=changes)


def _reordered(families: Families, group: Sequence[int]) -> Bool[np.ndarray, "m m"]:
    """Return the pairs whose channels may be in different orders: their sketches are those of strangers."""
    index = np.ix_(group, group)
    strange = np.abs(families.kinship.z[index]) < families.alarm.z
    hidden = families.permuted[index]
    return strange & (hidden.any(axis=0)[:, None] | hidden.any(axis=1)[None])


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

    return [_with(edge, ANCESTOR) if is_sibling(edge) else edge for edge in edges]


def _with(edge: Edge, relation: str) -> Edge:
    return dataclasses.replace(edge, relation=relation)


def _link(families: Families, group: Sequence[int], edge: Edge) -> tuple[float, float]:
    """Return the cosine of the sketches of both ends, and its z."""
    ends = group[edge.parent], group[edge.child]
    return float(families.kinship.cosine[ends]), float(families.kinship.z[ends])


def _described(
    edge: Edge, names: Sequence[str], link: tuple[float, float], evidence: str
) -> LineageEdge:
    return LineageEdge(
        names[edge.parent],
        names[edge.child],
        edge.relation,
        edge.directed,
        edge.cue if edge.directed else "",
        evidence,
        *link,
    )


def _forest(
    population: Population,
    families: Families,
    groups: list[list[int]],
    edges: list[LineageEdge],
    members: dict[int, Member],
    notes: tuple[str, ...],
) -> Forest:
    names = population.networks.names
    related = sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))
    single = [group[0] for group in groups if len(group) == 1]
    alone = ~families.kinship.comparable.any(axis=1)
    return Forest(
        tuple(_family(families, group, names) for group in related),
        tuple(names[i] for i in single),
        tuple(names[i] for i in single if alone[i]),
        tuple(edges),
        families.alarm,
        smallest_cosine(families),
        tuple(names[i] for group in related for i in group if i not in members),
        notes,
    )


def _family(families: Families, group: list[int], names: Sequence[str]) -> Family:
    """Return the family with its weakest link: the least z of the strongest links that connect it."""
    z = np.abs(families.kinship.z)[np.ix_(group, group)]
    weakest = min(range(len(group)), key=lambda i: z[i].max())
    partner = int(z[weakest].argmax())
    is_close = z[weakest, partner] >= families.alarm.z
    ends = group[weakest], group[partner]
    models = tuple(names[i] for i in group)
    if not is_close:
        return Family(models, None, None)
    return Family(models, float(families.kinship.cosine[ends]), float(families.kinship.z[ends]))


def smallest_cosine(families: Families) -> float | None:
    """Return the cosine that the median pair of comparable networks would have been called kin for."""
    statistics = families.kinship
    is_defined = statistics.comparable & (statistics.z != 0) & (statistics.cosine != 0)
    if not is_defined.any():
        return None
    deviations = statistics.cosine[is_defined] / statistics.z[is_defined]
    return float(max(families.alarm.z * np.median(np.abs(deviations)), 0.03))
