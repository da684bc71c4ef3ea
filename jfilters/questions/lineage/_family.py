"""One family by the weights of its members: how close they are, and what comparisons of pairs say."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ...compare import Comparison
from ...compare.internal import Sums, compare_layers
from ...lineage.internal import match_layers
from ...statistics.internal import host_unit_kernels
from ._weights import Member

HALF = 0.5
"""Share of a network's kernels in another from which it is near, though no layer has its shape."""

_Layers = tuple[tuple[str, tuple[int, ...]], ...]


class FamilyWeights:
    """The members of one family, and what their weights say about pairs of them.

    `cosine` holds the mean cosine of the matched kernels of all pairs, and `unmatched` the layers of both
    without a partner.

    Args:
        members: the networks with their weights.
        batchnorm: whether each has the statistics of BatchNorm.
        reordered: pairs whose channels may be in different orders: their weights are compared whole.
        contained: the share of the first network's kernels that the second has too.
    """

    def __init__(
        self,
        members: Sequence[Member],
        batchnorm: Sequence[bool | None],
        reordered: Bool[np.ndarray, "m m"],
        contained: Float[np.ndarray, "m m"],
    ):
        self.members, self.batchnorm = members, batchnorm
        self.reordered, self.contained = reordered, contained
        self.comparison = functools.cache(self._comparison)
        self._matches = functools.cache(match_layers)
        self.cosine, self.unmatched = self._closeness()

    def __len__(self) -> int:
        return len(self.members)

    def changes_low_rank(self, i: int, j: int) -> bool:
        """Return whether the change of every changed layer has a low rank, as of a merged adapter."""
        layers = [x for x in self.comparison(i, j).layers if x.rounding is None]
        return bool(layers) and all(layer.change_rank is not None for layer in layers)

    def frozen(self, i: int, j: int) -> list[bool]:
        """Return for each matched layer of a comparison whether all of its weight is equal in both."""
        digests = [{x.qualified.name: x.digest for x in self.members[k].layers} for k in (i, j)]
        pairs = ((x.first, x.second) for x in self.comparison(i, j).layers)
        return [digests[0][first] == digests[1][second] for first, second in pairs]

    def n_kernels(self, i: int, j: int) -> list[int]:
        """Return the kernels of each matched layer of a comparison, those not in memory too."""
        sizes = {x.qualified.name: x.size for x in self.members[i].layers}
        return [sizes[x.first][0] * sizes[x.first][1] for x in self.comparison(i, j).layers]

    def places(self, i: int, j: int) -> list[tuple[int, int]]:
        """Return the places of matched layers in both networks."""
        return self._matches(self._names(i), self._names(j))

    def pairs(self, i: int, j: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the weights of matched layers."""
        layers = self.members[i].layers, self.members[j].layers
        return [(layers[0][a].weight, layers[1][b].weight) for a, b in self.places(i, j)]

    def matched_distance(self, i: int, j: int) -> float:
        """Return the squared distance of the weights of all matched layers."""
        changes = (b - a for a, b in self.pairs(i, j))
        return sum(float(np.sum(np.square(x), dtype=np.float64)) for x in changes)

    def distance(self, i: int, j: int) -> float | None:
        """Return the squared distance of two networks of the same layers; None for others."""
        if self.sizes(i) != self.sizes(j):
            return None
        return float(np.sum(np.square(self.flat(i) - self.flat(j)), dtype=np.float64))

    def sizes(self, network: int) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the layers of a network."""
        return tuple(layer.size for layer in self.members[network].layers)

    def flat(self, network: int) -> Float[np.ndarray, " m"]:
        """Return all weights of a network that are in memory, in one row."""
        return np.concatenate([x.weight.reshape(-1) for x in self.members[network].layers])

    def _comparison(self, i: int, j: int) -> Comparison:
        if self.reordered[i, j]:
            return self._whole_comparison(i, j)
        a, b = self.members[i], self.members[j]
        comparison = compare_layers(a.layers, b.layers, (a.side, b.side))
        # What equals in the channels in memory may differ in others.
        is_equal = comparison.relation.label in ("identical", "re-saved")
        is_partial = any(layer.shape != layer.size for layer in a.layers)
        differs = [x.digest for x in a.layers] != [x.digest for x in b.layers]
        return self._whole_comparison(i, j) if is_equal and is_partial and differs else comparison

    def _whole_comparison(self, i: int, j: int) -> Comparison:
        a, b = self.members[i], self.members[j]
        first, second = ([layer.stored for layer in member.layers] for member in (a, b))
        return compare_layers(first, second, (a.side, b.side))

    def _closeness(self) -> tuple[Float[np.ndarray, "m m"], Int[np.ndarray, "m m"]]:
        n = len(self)
        cosine, unmatched = np.zeros((n, n)), np.zeros((n, n), np.int64)
        groups = self._same_names()
        for a, (names, first) in enumerate(groups):
            for other_names, second in groups[: a + 1]:
                places = self._matches(names, other_names)
                index = np.ix_(first, second)
                cosine[index] = self._mean_cosines(first, second, places)
                unmatched[index] = len(names) + len(other_names) - 2 * len(places)
                # The index backwards selects the pairs the other way round, in the same order.
                cosine[index[::-1]], unmatched[index[::-1]] = cosine[index], unmatched[index]
        for i, j in zip(*np.nonzero(self.reordered), strict=True):
            cosine[i, j] = self._whole_cosine(*sorted((int(i), int(j))))
        cosine = np.abs(cosine)  # negated kernels are as near as equal ones
        share = np.maximum(self.contained, self.contained.T)
        cosine = np.where(share >= HALF, np.maximum(cosine, share), cosine)
        np.fill_diagonal(cosine, 0)
        return cosine, unmatched

    def _mean_cosines(
        self, first: Sequence[int], second: Sequence[int], places: Sequence[tuple[int, int]]
    ) -> Float[np.ndarray, "a b"]:
        """Return the mean cosine of the kernels of matched layers, of all pairs of two groups."""
        total, n = (np.zeros((len(first), len(second))) for _ in range(2))
        for a, b in places:
            units = self._unit_kernels(first, a), self._unit_kernels(second, b)
            total += units[0].reshape(len(first), -1) @ units[1].reshape(len(second), -1).T
            masks = [np.any(x, axis=2).astype(np.float32) for x in units]
            n += masks[0] @ masks[1].T
        return total / np.where(n > 0, n, 1)

    def _unit_kernels(self, networks: Sequence[int], layer: int) -> Float[np.ndarray, "m n d"]:
        weights = [self.members[i].layers[layer].weight for i in networks]
        rows = np.stack([x.reshape(x.shape[0] * x.shape[1], -1) for x in weights])
        return host_unit_kernels(rows.reshape(-1, rows.shape[2])).reshape(rows.shape)

    def _whole_cosine(self, i: int, j: int) -> float:
        sums = Sums.of(self.comparison(i, j).layers, self.members[i].side, self.members[j].side)
        return sums.cosine if sums.cosine == sums.cosine else 0.0

    def _names(self, network: int) -> _Layers:
        return tuple((x.layer.name, x.size) for x in self.members[network].layers)

    def _same_names(self) -> list[tuple[_Layers, list[int]]]:
        groups: dict[_Layers, list[int]] = {}
        for i in range(len(self)):
            groups.setdefault(self._names(i), []).append(i)
        return list(groups.items())
