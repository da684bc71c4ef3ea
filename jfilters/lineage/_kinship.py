"""Kinship of all pairs of networks, by their sketches: a cosine that is zero for strangers, and its z.

Source: METHOD, Lineage; measured on 162 real networks with 7,328 pairs of strangers.
"""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ._layer_pairs import LayerPairs, null_variance, similar_layers, unit_sketches
from ._matching import Layers, Places, match_layers
from ._networks import Networks

Similar = dict[tuple[int, int], dict[tuple[int, int], float]]


@dataclasses.dataclass(frozen=True, eq=False)
class Kinship:
    """The statistics of all pairs of networks, in the order of their names.

    - `cosine`: mean cosine of the centered unit kernels of matched layers, weighted by its precision; 0
    where
      no layers match.
    - `z`: the same in standard deviations of strangers, of whom it is standard normal.
    - `matched`: matched layers.
    - `similar`: layers that are evidence of kinship by themselves.
    """

    cosine: Float[np.ndarray, "n n"]
    z: Float[np.ndarray, "n n"]
    matched: Int[np.ndarray, "n n"]
    similar: Int[np.ndarray, "n n"]

    @property
    def comparable(self) -> Bool[np.ndarray, "n n"]:
        """Pairs with a layer of one shape."""
        return self.matched > 0


def kinship(networks: Networks, new: int = 0) -> Kinship:
    """Return the kinship of all pairs of networks. Runs on the host; memory grows with their square.

    Args:
        networks: the networks.
        new: pairs of architectures without a network from this place on are passed over, and stay 0.

    >>> rng = np.random.default_rng(0)
    >>> from jfilters.lineage.internal import Sketcher
    >>> weights = [rng.normal(size=(16, 16, 3, 3)).astype(np.float32) for _ in range(2)]
    >>> weights.append(weights[0] + 0.1 * weights[1])
    >>> sketcher = Sketcher([1, 1, 1])
    >>> shapes = [weight.shape for weight in sketcher.watch(weights)]
    >>> sketches = sketcher.sketches()
    >>> networks = Networks("abc", ["w"] * 3, shapes, np.arange(3), np.ones((3, 3)), sketches)
    >>> (kinship(networks).z > 5).tolist()
    [[False, False, True], [False, False, False], [True, False, False]]
    """
    n = len(networks)
    architectures = list(networks.architectures.items())
    similar = similar_layers(networks, new)
    hints = _hints(networks, architectures, similar)
    result = Kinship(
        np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n), np.int64), _counts(networks, similar)
    )
    units = _Units(networks)
    for i, (layers, members) in enumerate(architectures):
        for j, (others, other_members) in enumerate(architectures[: i + 1]):
            if max(members[-1], other_members[-1]) < new:
                continue
            places = match_layers(layers, others, hints.get((i, j)))
            if places:
                _fill(result, units, np.array(members), np.array(other_members), places)
    for matrix in (result.cosine, result.z, result.matched):
        np.fill_diagonal(matrix, 0)
    return result


class _Units:
    """Unit sketches of a layer of several networks, made once for each number of rows."""

    def __init__(self, networks: Networks):
        self.networks = networks
        self.of = functools.cache(self._of)

    def places(self, members: np.ndarray, layer: int) -> Int[np.ndarray, " m"]:
        """Return the places of a layer in all of these networks."""
        return self.networks.bounds[members] + layer

    def rows(self, members: np.ndarray, layer: int) -> int:
        """Return the fewest rows of the sketches of a layer: a network of which layers were left out has
        fewer."""
        return int(self.networks.sketches.n_rows[self.places(members, layer)].min())

    def _of(self, members: tuple[int, ...], layer: int, rows: int) -> Float[np.ndarray, "m k"]:
        return unit_sketches(self.networks, self.places(np.array(members), layer), rows)


def _fill(
    result: Kinship, units: _Units, first: np.ndarray, second: np.ndarray, places: Places
) -> None:
    """Write the statistics of all pairs of networks of two architectures, both ways round."""
    total = np.zeros((len(first), len(second)))
    precision = np.zeros_like(total)
    for i, j in places:
        rows = min(units.rows(first, i), units.rows(second, j))
        a = units.of(tuple(first.tolist()), i, rows)
        b = units.of(tuple(second.tolist()), j, rows)
        ends = units.places(first, i), units.places(second, j)
        weight = 1 / null_variance(units.networks, *ends, a.shape[1])
        total += weight * (a @ b.T)
        precision += weight
    safe = np.where(precision > 0, precision, 1)
    for matrix, values in ((result.cosine, total / safe), (result.z, total / np.sqrt(safe))):
        matrix[np.ix_(first, second)] = values
        matrix[np.ix_(second, first)] = values.T
    result.matched[np.ix_(first, second)] = len(places)
    result.matched[np.ix_(second, first)] = len(places)


def _hints(
    networks: Networks, architectures: Sequence[tuple[Layers, list[int]]], similar: LayerPairs
) -> Similar:
    """Return the similar layers by the two architectures, and their places in them."""
    of_network = np.zeros(len(networks), np.int64)
    for place, (_, members) in enumerate(architectures):
        of_network[members] = place
    hints: Similar = defaultdict(dict)
    owners = networks.owner[similar.first], networks.owner[similar.second]
    ends = zip(
        of_network[owners[0]].tolist(),
        of_network[owners[1]].tolist(),
        (similar.first - networks.bounds[owners[0]]).tolist(),
        (similar.second - networks.bounds[owners[1]]).tolist(),
        np.abs(similar.cosine).tolist(),
        strict=True,
    )
    for a, b, i, j, cosine in ends:
        if a < b:
            a, b, i, j = b, a, j, i
        layers = hints[a, b]
        layers[i, j] = max(cosine, layers.get((i, j), 0.0))
    return hints


def _counts(networks: Networks, similar: LayerPairs) -> Int[np.ndarray, "n n"]:
    """Return how many layers of each pair of networks are similar to one of the other's."""
    n = len(networks)
    counts = np.zeros((n, n), np.int64)
    ends = (similar.first, similar.second)
    for place, other in (ends, ends[::-1]):
        own = networks.owner[place], networks.owner[other]
        once = np.unique(np.stack([place, own[1]]), axis=1) if len(place) else np.zeros((2, 0), int)
        np.add.at(counts, (networks.owner[once[0]], once[1]), 1)
    return np.minimum(counts, counts.T)
