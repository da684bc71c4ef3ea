"""Lineage: which models of a scan are kin, and who came from whom."""

import functools
import operator
from collections.abc import Mapping, Sequence

import numpy as np

from ...lineage import Families, find_families
from ...lineage.internal import FLOOR, spanning_pairs
from ...scans import Scan
from ._edges import edges_of
from ._forest import Family, Forest, LineageEdge
from ._hidden import hidden_kin
from ._population import Population
from ._weights import Member

NOT_SEARCHED = "not looked for: networks trained onward with their channels in another order"


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
        ValueError: a scan of an earlier version has no sketches, or there are more models than are
        compared.

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
        reference = Population.of(against)
        first_new, population = len(reference), reference + population
    population.check_size()
    families, members, notes = _families(population, weights=weights)
    groups = [group for group in families.members() if max(group) >= first_new]
    edges = [
        edge
        for group in groups
        if len(group) > 1
        for edge in edges_of(population, families, group, members)
    ]
    return _forest(population, families, groups, edges, members, notes)


def _families(
    population: Population, *, weights: bool
) -> tuple[Families, dict[int, Member], tuple[str, ...]]:
    """Return the families, the members of those that could be read, and what was not looked for."""
    families = find_families(population.networks)
    if not weights:
        return families, {}, (NOT_SEARCHED,)
    kin, members, n_left_out = hidden_kin(population, families)
    families = families.with_reordered(kin)
    relatives = [i for group in families.members() if len(group) > 1 for i in group]
    notes = (f"{NOT_SEARCHED}, in {n_left_out:,} pairs of one architecture",) if n_left_out else ()
    members |= population.members(i for i in relatives if i not in members)
    return families, members, notes


def _forest(
    population: Population,
    families: Families,
    groups: Sequence[Sequence[int]],
    edges: Sequence[LineageEdge],
    members: Mapping[int, Member],
    notes: tuple[str, ...],
) -> Forest:
    names = population.networks.names
    related = sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))
    single = [group[0] for group in groups if len(group) == 1]
    is_comparable = np.any(families.kinship.comparable, axis=1).tolist()
    return Forest(
        tuple(_family(families, group, names) for group in related),
        tuple(names[i] for i in single),
        tuple(names[i] for i in single if not is_comparable[i]),
        tuple(edges),
        families.alarm,
        _smallest_cosine(families),
        tuple(names[i] for group in related for i in group if i not in members),
        notes,
    )


def _family(families: Families, group: Sequence[int], names: Sequence[str]) -> Family:
    """Return the family with its weakest link: the least z without which it would be two."""
    models = tuple(names[i] for i in group)
    z = np.abs(families.kinship.z[np.ix_(group, group)])
    links = spanning_pairs(-z)
    weakest = min(links, key=lambda pair: z[pair])
    if z[weakest] < families.alarm.z:
        return Family(models, None, None)
    ends = group[weakest[0]], group[weakest[1]]
    return Family(models, float(families.kinship.cosine[ends]), float(families.kinship.z[ends]))


def _smallest_cosine(families: Families) -> float | None:
    """Return the cosine from which the median pair of comparable networks would have been called kin."""
    statistics = families.kinship
    is_defined = (statistics.z != 0) & (statistics.cosine != 0)
    if not is_defined.any():
        return None
    deviations = np.abs(statistics.cosine[is_defined] / statistics.z[is_defined])
    return float(max(families.alarm.z * np.median(deviations), FLOOR))
