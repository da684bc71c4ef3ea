"""The cosines of all pairs of layers of one shape, by their sketches: which layers go back to one
another."""

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

AT_ONCE = 2048
"""Rows of a matrix of cosines that is in memory at a time."""


class LayerPairs(NamedTuple):
    """Pairs of layers of different networks with cosines far above the null, or below it."""

    first: Int64[np.ndarray, " m"]
    second: Int64[np.ndarray, " m"]
    cosine: Float[np.ndarray, " m"]
    z: Float[np.ndarray, " m"]


class Level(NamedTuple):
    """Layers of one shape whose sketches have as many rows: their places, and unit sketches."""

    places: Int64[np.ndarray, " m"]
    sketches: Float[np.ndarray, "m k"]


def similar_layers(networks: Networks) -> LayerPairs:
    """Return the pairs of layers of one shape, wherever they stand, that are evidence by themselves."""
    pairs = [LayerPairs(*(np.zeros(0, t) for t in (np.int64, np.int64, float, float)))]
    for levels in _by_shape(networks):
        for i, first in enumerate(levels):
            for second in levels[: i + 1]:
                pairs += _similar(networks, first, second)
    return LayerPairs(*map(np.concatenate, zip(*pairs, strict=True)))


def null_variance(
    networks: Networks, first: Int64[np.ndarray, " m"], second: Int64[np.ndarray, " k"], width: int
) -> Float[np.ndarray, "m k"]:
    """Return the variance of the cosines of layers of strangers: of the kernels, and of the sketch.

    The first is at most 1 / ((n - 1) sqrt(e f)) with the spreads e and f of both layers, by the inequality
    of Cauchy and Schwarz. Source: Hoeffding, "A combinatorial central limit theorem", 1951.
    """
    sketches = networks.sketches
    n = np.minimum(sketches.n[first][:, None], sketches.n[second][None, :])
    spread = np.sqrt(sketches.spread[first][:, None] * sketches.spread[second][None, :])
    with np.errstate(divide="ignore"):
        return 1 / (np.maximum(n - 1, 0) * spread) + 1 / width


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


def _by_shape(networks: Networks) -> Iterator[list[Level]]:
    places: dict[tuple[int, ...], dict[int, list[int]]] = {}
    for place, (shape, count) in enumerate(
        zip(networks.shapes, networks.sketches.n_rows.tolist(), strict=True)
    ):
        if shape[0] * shape[1] >= FEWEST_KERNELS:
            places.setdefault(shape, {}).setdefault(count, []).append(place)
    for by_count in places.values():
        if sum(map(len, by_count.values())) > 1:
            yield [
                Level(np.array(group), unit_sketches(networks, np.array(group), count))
                for count, group in sorted(by_count.items())
            ]


def _similar(networks: Networks, wide: Level, narrow: Level) -> Iterator[LayerPairs]:
    """Pairs of a layer of `wide` with one of `narrow`, whose sketches have no more numbers."""
    width = narrow.sketches.shape[1]
    for start in range(0, len(wide.places), AT_ONCE):
        places = wide.places[start : start + AT_ONCE]
        folded = unit_sketches(networks, places, width // WIDTH)
        cosine = folded @ narrow.sketches.T
        z = cosine / np.sqrt(null_variance(networks, places, narrow.places, width))
        is_similar = (np.abs(cosine) >= SMALLEST_COSINE) & (np.abs(z) >= SMALLEST_Z)
        owners = networks.owner[places][:, None], networks.owner[narrow.places][None, :]
        is_similar &= owners[0] > owners[1] if wide is narrow else owners[0] != owners[1]
        i, j = np.nonzero(is_similar)
        yield LayerPairs(places[i], narrow.places[j], cosine[i, j], z[i, j])
