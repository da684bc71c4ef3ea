"""Kin that sketches cannot see: networks with their channels in another order that were trained onward."""

import itertools

import numpy as np
from jaxtyping import Bool

from ...compare.internal import Sums, compare_layers
from ...lineage import Families
from ...shift.internal import DISTINCT_CHANNELS, channel_order
from ._population import Population
from ._weights import Member

MOST_PAIRS = 1_000
"""Pairs of strangers of one architecture that are searched; each takes some milliseconds."""

LARGEST = 1 << 16
"""Kernels of the layer in which an order is looked for first."""


def hidden_kin(
    population: Population, families: Families
) -> tuple[Bool[np.ndarray, "n n"], dict[int, Member], int]:
    """Return the pairs that are kin in another order of channels, what was read, and the pairs left out.

    Of every family and architecture one network is looked at, beside all single ones. Networks whose
    weights cannot be read are passed over.
    """
    n = len(population)
    kin = np.zeros((n, n), bool)
    pairs = _candidates(population, families)
    members = population.members(sorted({i for pair in pairs[:MOST_PAIRS] for i in pair}))
    for i, j in pairs[:MOST_PAIRS]:
        if i in members and j in members and _is_kin(members[i], members[j]):
            kin[i, j] = kin[j, i] = True
    return kin, members, max(len(pairs) - MOST_PAIRS, 0)


def _candidates(population: Population, families: Families) -> list[tuple[int, int]]:
    networks = population.networks
    groups: dict[tuple, dict[int, int]] = {}
    for network in range(len(networks)):
        shapes = tuple(networks.shapes[i] for i in networks.places(network))
        if any(_is_usable(shape) for shape in shapes):
            first = groups.setdefault(shapes, {})
            first.setdefault(int(families.labels[network]), network)
    return [pair for group in groups.values() for pair in itertools.combinations(group.values(), 2)]


def _is_usable(shape: tuple[int, ...]) -> bool:
    return shape[0] >= DISTINCT_CHANNELS and shape[0] * shape[1] <= LARGEST


def _is_kin(first: Member, second: Member) -> bool:
    usable = [i for i, layer in enumerate(first.layers) if _is_usable(layer.size)]
    widest = max(usable, key=lambda i: (first.layers[i].size[0], -i))
    if channel_order(first.layers[widest].whole(), second.layers[widest].whole()) is None:
        return False
    layers, others = ([layer.stored for layer in member.layers] for member in (first, second))
    comparison = compare_layers(layers, others, (first.side, second.side))
    sums = Sums.of(comparison.layers, first.side, second.side)
    reordered = [layer for layer in sums.related if layer.reordered]
    return sums.are_related and len(reordered) >= min(2, len(comparison.layers))
