"""The cosines of all pairs of layers of one shape, by their sketches: which layers go back to one
another."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from ._networks import Networks
from ._sketch import WIDTH

FEWEST_KERNELS = 64
"""Kernels of a layer that is evidence by itself (METHOD, Lineage)."""

SMALLEST_COSINE, SMALLEST_Z = 0.1, 6.5
"""Cosine, and its distance from zero in standard deviations, of a layer that is evidence by itself."""

AT_ONCE = 1 << 24
"""Cosines that are in memory at a time."""

LARGE = 64
"""Networks of the same layers from which these are compared place by place alone.

Of a thousand networks with twenty layers of one shape there are twenty times as many pairs of layers.
"""


class LayerPairs(NamedTuple):
    """Pairs of layers of different networks with cosines far above the null, or below it."""

    first: Int64[np.ndarray, " m"]
    second: Int64[np.ndarray, " m"]
    cosine: Float[np.ndarray, " m"]
    z: Float[np.ndarray, " m"]


class Level(NamedTuple):
    """Layers of one shape whose sketches have as many rows: their places, and unit sketches.

    `architecture` and `layer` number what they have in common; -1 for layers of small architectures.
    """

    places: Int64[np.ndarray, " m"]
    sketches: Float[np.ndarray, "m k"]
    architecture: int
    layer: int

    def may_match(self, other: "Level") -> bool:
        """Return whether layers of both can be partners: not those of one network at other places."""
        return (
            self.architecture < 0
            or self[2:] == other[2:]
            or self.architecture != other.architecture
        )


def similar_layers(networks: Networks, new: int = 0) -> LayerPairs:
    """Return the pairs of layers of one shape, wherever they stand, that are evidence by themselves.

    Shapes that no network from the place `new` on has are passed over.
    """
    pairs = [LayerPairs(*(np.zeros(0, t) for t in (np.int64, np.int64, float, float)))]
    for levels in _by_shape(networks, new):
        for i, first in enumerate(levels):
            for second in levels[: i + 1]:
                if first.may_match(second):
                    pairs += _similar(networks, first, second)
    return LayerPairs(*map(np.concatenate, zip(*pairs, strict=True)))


def null_variance(
    networks: Networks, first: Int64[np.ndarray, " m"], second: Int64[np.ndarray, " k"], width: int
) -> Float[np.ndarray, "m k"]:
    """Return the variance of the cosines of layers of strangers: of the kernels, and of the sketch.

    The first is at most 1 / ((n - 1) sqrt(e f)) with the spreads e and f of both layers, by the inequality
    of Cauchy and Schwarz. Source: Hoeffding, "A combinatorial central limit theorem", 1951.
    """
    ends = np.broadcast_arrays(first[:, None], second[None])
    return _pair_variance(networks, *ends) + 1 / width


def unit_sketches(
    networks: Networks, places: Int64[np.ndarray, " m"], rows: int
) -> Float[np.ndarray, "m k"]:
    """Return the sketches of layers, folded to so many rows, divided by their lengths."""
    sketches = networks.sketches
    starts = (np.cumsum(sketches.n_rows) - sketches.n_rows)[places]
    counts = sketches.n_rows[places]
    values = np.empty((len(places), rows * WIDTH), np.float32)
    for count in np.unique(counts):
        is_wide = counts == count
        parts = sketches.rows[starts[is_wide][:, None] + np.arange(count)].astype(np.float32)
        # The number at place i of a sketch is a sum over the weights i, i + k, ...: halves may be added.
        values[is_wide] = parts.reshape(len(parts), count // rows, rows * WIDTH).sum(axis=1)
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values))
    return values / np.where(lengths > 0, lengths, 1)[:, None]


def _by_shape(networks: Networks, new: int) -> Iterator[list[Level]]:
    """Yield the levels of each shape that more than one layer has, those with the fewest rows first."""
    places: dict[tuple[int, ...], dict[tuple[int, int, int], list[int]]] = {}
    kinds = _kinds(networks)
    for place, (shape, count) in enumerate(
        zip(networks.shapes, networks.sketches.n_rows.tolist(), strict=True)
    ):
        if shape[0] * shape[1] >= FEWEST_KERNELS:
            places.setdefault(shape, {}).setdefault((count, *kinds[place]), []).append(place)
    for by_kind in places.values():
        last = max(max(group) for group in by_kind.values())
        if sum(map(len, by_kind.values())) > 1 and networks.owner[last] >= new:
            yield [
                Level(np.array(group), unit_sketches(networks, np.array(group), count), *kind)
                for (count, *kind), group in sorted(by_kind.items())
            ]


def _kinds(networks: Networks) -> list[tuple[int, int]]:
    """Return for every layer the number of its architecture and its place there, if it is a large one."""
    kinds = [(-1, -1)] * len(networks.layers)
    for number, members in enumerate(networks.architectures.values()):
        for network in members if len(members) >= LARGE else ():
            for layer, place in enumerate(networks.places(network)):
                kinds[place] = (number, layer)
    return kinds


def _similar(networks: Networks, wide: Level, narrow: Level) -> Iterator[LayerPairs]:
    """Pairs of a layer of `wide` with one of `narrow`, whose sketches have no more numbers."""
    width = narrow.sketches.shape[1]
    # The sketch alone has the variance 1 / width, so that most cosines need no variance of their own.
    smallest = max(SMALLEST_COSINE, SMALLEST_Z / math.sqrt(width))
    step = max(AT_ONCE // len(narrow.places), 1)
    for start in range(0, len(wide.places), step):
        places = wide.places[start : start + step]
        cosine = unit_sketches(networks, places, width // WIDTH) @ narrow.sketches.T
        i, j = np.nonzero(np.abs(cosine) >= smallest)
        first, second = places[i], narrow.places[j]
        owners = networks.owner[first], networks.owner[second]
        is_other = owners[0] > owners[1] if wide is narrow else owners[0] != owners[1]
        first, second, cosines = first[is_other], second[is_other], cosine[i, j][is_other]
        z = cosines / np.sqrt(_pair_variance(networks, first, second) + 1 / width)
        is_similar = np.abs(z) >= SMALLEST_Z
        yield LayerPairs(*(x[is_similar] for x in (first, second, cosines, z)))


def _pair_variance(
    networks: Networks, first: Int64[np.ndarray, "*m"], second: Int64[np.ndarray, "*m"]
) -> Float[np.ndarray, "*m"]:
    """Return the variance of the cosines of pairs of layers of strangers, without that of the sketch."""
    sketches = networks.sketches
    n = np.minimum(sketches.n[first], sketches.n[second])
    spread = np.sqrt(sketches.spread[first] * sketches.spread[second])
    with np.errstate(divide="ignore"):
        return 1 / (np.maximum(n - 1, 0) * spread)
