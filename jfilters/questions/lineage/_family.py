"""One family by the weights of its members: how close they are, which are copies, and who has children."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ...compare import Comparison
from ...compare.internal import Sums, compare_layers
from ...lineage.internal import Copy, Descent, Edge, Soup, find_soups, match_layers
from ...statistics.internal import host_unit_kernels
from ._weights import Member

ALL_PAIRS = 8
"""Members of a family up to which all pairs are compared in every way; of more, each with the nearest."""

NEAREST = 6

NEAR_SOUP, NEAR_RESCALED = 1.0, 0.8
"""Squared distance of a child from an average or a rescaled copy, as a share of that from its sources."""

RIGHT_ANGLE = (-0.3, 0.4)
"""Cosines under which the base of two parts of an average sees both."""

KEPT_ZEROS = 0.98
"""Share of the zeros of a pruned network that a network trained onward from it has."""

CHILD_OF_COPY = -0.5
"""Difference of the squared distances from a rounded copy and from its source, in squared lengths of the
rounding: -1 for a child of the copy, 1 for one of the source, 0 for a network in another order."""

LARGEST_ERROR = 0.3
"""Standard deviation up to which it shows whether a network descends from a rounded copy or its source."""

Weights = Float[np.ndarray, " m"]


class FamilyWeights:
    """The members of one family, and what their weights say about pairs of them.

    Args:
        members: the networks with their weights.
        batchnorm: whether each has the statistics of BatchNorm.
        reordered: pairs whose channels may be in different orders: their weights are compared whole.
    """

    def __init__(
        self,
        members: Sequence[Member],
        batchnorm: Sequence[bool | None],
        reordered: Bool[np.ndarray, "m m"],
    ):
        self.members, self._batchnorm, self._reordered = members, batchnorm, reordered
        self.comparison = functools.cache(self._comparison)
        self._units = functools.cache(self._unit_kernels)
        self._matches = functools.cache(self._matched)
        self.cosine, self.unmatched = self._closeness()

    def __len__(self) -> int:
        return len(self.members)

    def near_pairs(self) -> list[tuple[int, int]]:
        """Return the pairs that are compared in every way, the first network of each below the second."""
        n = len(self)
        if n <= ALL_PAIRS:
            return list(itertools.combinations(range(n), 2))
        nearest = np.argsort(-self.cosine - np.eye(n), axis=1)[:, 1 : NEAREST + 1]
        return sorted({(min(i, int(j)), max(i, int(j))) for i in range(n) for j in nearest[i]})

    def copies(self) -> list[Copy]:
        """Return the pairs of which one is a copy of the other, or both are of one network."""
        pairs = ((i, j, self._copy(i, j)) for i, j in self.near_pairs())
        return [copy for _, _, copy in pairs if copy is not None]

    def soups(self, copies: Sequence[Copy]) -> list[Soup]:
        """Return the averages among networks of the same layers; copies are neither these nor parts."""
        aside = {copy.copy for copy in copies}
        soups = []
        for group in self._same_layers(aside):
            if len(group) > 2:
                weights = np.stack([self._flat(i) for i in group])
                soups += [
                    Soup(group[s.network], tuple(group[i] for i in s.parts), s.shares, s.residual)
                    for s in find_soups(weights)
                ]
        return soups

    def descents(
        self, copies: Sequence[Copy], soups: Sequence[Soup], updates: Sequence[int | None]
    ) -> list[Descent]:
        """Return the networks that were trained onward from a copy or an average."""
        aside = {copy.copy for copy in copies if copy.directed} | {s.network for s in soups}
        children = [i for i in range(len(self)) if i not in aside]
        result = []
        for child in children:
            result += [x for copy in copies if (x := self._from_copy(child, copy)) is not None]
            result += [x for s in soups if (x := self._from_soup(child, s, updates)) is not None]
        return self._nearest_ancestors(result)

    def changes_low_rank(self, i: int, j: int) -> bool:
        """Return whether the change of every changed layer has a low rank, as of a merged adapter."""
        layers = [x for x in self.comparison(i, j).layers if x.rounding is None]
        return bool(layers) and all(layer.change_rank is not None for layer in layers)

    def sub_network(self, edge: Edge) -> str | None:
        """Return "sub-network" where the child has nothing but layers or kernels of the parent."""
        return None

    def frozen(self, i: int, j: int) -> list[bool]:
        """Return for each matched layer of a comparison whether all of its weight is equal in both."""
        digests = [{x.qualified.name: x.digest for x in self.members[k].layers} for k in (i, j)]
        pairs = ((x.first, x.second) for x in self.comparison(i, j).layers)
        return [digests[0][first] == digests[1][second] for first, second in pairs]

    def _comparison(self, i: int, j: int) -> Comparison:
        a, b = self.members[i], self.members[j]
        if self._reordered[i, j]:
            layers = ([layer.stored for layer in member.layers] for member in (a, b))
            return compare_layers(*layers, (a.side, b.side))
        return compare_layers(a.layers, b.layers, (a.side, b.side))

    def _copy(self, i: int, j: int) -> Copy | None:
        comparison = self.comparison(i, j)
        relation = comparison.relation
        if relation.label in ("identical", "re-saved"):
            return _copy_of(i, j, relation.label, self._saved_from(i, j, comparison))
        if relation.label in ("quantized", "pruned"):
            return _copy_of(i, j, relation.label, relation.source)
        if relation.label == "rescaled":
            return _copy_of(i, j, relation.label, self._unfolded(i, j))
        return None

    def _saved_from(self, i: int, j: int, comparison: Comparison) -> Literal[0, 1] | None:
        if any(layer.difference.changed for layer in comparison.layers):
            a, b = self.members[i].precision, self.members[j].precision
            if a != b:  # the other was rounded from the wider numbers
                return 0 if a > b else 1
        if any(layer.reordered for layer in comparison.layers):
            return self._nearer_to_all(i, j)
        return None

    def _unfolded(self, i: int, j: int) -> Literal[0, 1] | None:
        """Return the network that still has the BatchNorm which the other lacks, or else the usual scale."""
        has = self._batchnorm[i], self._batchnorm[j]
        if has in ((True, False), (False, True)):
            return 0 if has[0] else 1
        return self._nearer_to_all(i, j)

    def _nearer_to_all(self, i: int, j: int) -> Literal[0, 1] | None:
        """Return the one of two equivalent networks in whose scale and order most relatives are."""
        relatives = [k for k in range(len(self)) if k not in (i, j)]
        distances = [
            (self._matched_distance(k, i), self._matched_distance(k, j)) for k in relatives
        ]
        first = sum(a < NEAR_RESCALED * b for a, b in distances)
        second = sum(b < NEAR_RESCALED * a for a, b in distances)
        if max(first, second) <= 2 * min(first, second):
            return None
        return 0 if first > second else 1

    def _matched_distance(self, i: int, j: int) -> float:
        """Return the squared distance of the weights of all matched layers."""
        changes = (b - a for a, b in self._pairs(i, j))
        return sum(float(np.sum(np.square(x), dtype=np.float64)) for x in changes)

    def _from_copy(self, child: int, copy: Copy) -> Descent | None:
        """Return the evidence that a network was trained onward from a copy and not from its source."""
        if child in (copy.source, copy.copy) or not copy.directed:
            return None
        if self._reordered[child, copy.copy]:
            return None
        if self._reordered[child, copy.source]:
            return Descent(copy.copy, child, "channels in the order of the copy")
        if copy.relation == "pruned":
            return self._with_zeros(child, copy)
        own = self._distance(child, copy.copy), self._distance(child, copy.source)
        if None in own:
            return None
        return self._nearer(child, copy, *own)

    def _nearer(self, child: int, copy: Copy, to_copy: float, to_source: float) -> Descent | None:
        if copy.relation == "rescaled":
            is_child = to_copy < NEAR_RESCALED * to_source
            return Descent(copy.copy, child, "nearer to the rescaled copy") if is_child else None
        step = self._distance(copy.copy, copy.source) or 0.0
        if not step:
            return None
        n = sum(layer.weight.size for layer in self.members[child].layers)
        error = 2 * np.sqrt(to_source / (step * n))
        is_child = error <= LARGEST_ERROR and (to_copy - to_source) / step < CHILD_OF_COPY
        return Descent(copy.copy, child, "nearer to the rounded copy") if is_child else None

    def _with_zeros(self, child: int, copy: Copy) -> Descent | None:
        pairs = self._pairs(child, copy.copy)
        zeros = sum(np.count_nonzero(b == 0) for _, b in pairs)
        common = sum(np.count_nonzero((a == 0) & (b == 0)) for a, b in pairs)
        if not zeros or common < KEPT_ZEROS * zeros:
            return None
        return Descent(copy.copy, child, f"has {common / zeros:.0%} of the zeros of the pruned one")

    def _from_soup(self, child: int, soup: Soup, updates: Sequence[int | None]) -> Descent | None:
        if child in soup.parts:
            return None
        own = self._distance(child, soup.network)
        parts = [self._distance(child, part) for part in soup.parts]
        if own is None or any(part is None or own >= NEAR_SOUP * part for part in parts):
            return None
        before, after = updates[soup.network], updates[child]
        is_counted = before is not None and after is not None
        is_younger = after > before if is_counted else self._sees_apart(child, soup.parts)
        if not is_younger:
            return None
        return Descent(soup.network, child, "nearer to the average than to its parts")

    def _sees_apart(self, child: int, parts: Sequence[int]) -> bool:
        """Return whether a network sees two parts under an angle that their common base does not."""
        directions = [self._flat(part) - self._flat(child) for part in parts[:2]]
        lengths = [np.linalg.norm(x) for x in directions]
        cosine = float(directions[0] @ directions[1] / max(lengths[0] * lengths[1], 1e-30))
        return not RIGHT_ANGLE[0] <= cosine <= RIGHT_ANGLE[1]

    def _nearest_ancestors(self, descents: Sequence[Descent]) -> list[Descent]:
        """Return one descent a child, from the ancestor that is nearest."""
        nearest: dict[int, Descent] = {}
        for descent in descents:
            child = descent.child
            best = nearest.get(child)
            if (
                best is None
                or self.cosine[child, descent.ancestor] > self.cosine[child, best.ancestor]
            ):
                nearest[child] = descent
        return list(nearest.values())

    def _closeness(self) -> tuple[Float[np.ndarray, "m m"], Int[np.ndarray, "m m"]]:
        """Return the mean cosine of matched kernels of all pairs, and the layers without a partner."""
        n = len(self)
        cosine, unmatched = np.zeros((n, n)), np.zeros((n, n), np.int64)
        for i, j in itertools.combinations(range(n), 2):
            places = self._places(i, j)
            value = (
                self._whole_cosine(i, j)
                if self._reordered[i, j]
                else self._mean_cosine(i, j, places)
            )
            cosine[i, j] = cosine[j, i] = value
            layers = len(self.members[i].layers) + len(self.members[j].layers)
            unmatched[i, j] = unmatched[j, i] = layers - 2 * len(places)
        return cosine, unmatched

    def _whole_cosine(self, i: int, j: int) -> float:
        sums = Sums.of(self.comparison(i, j).layers, self.members[i].side, self.members[j].side)
        return sums.cosine if sums.cosine == sums.cosine else 0.0

    def _mean_cosine(self, i: int, j: int, places: Sequence[tuple[int, int]]) -> float:
        total, n = 0.0, 0
        for a, b in places:
            first, second = self._units(i, a), self._units(j, b)
            cosines = np.einsum("ij,ij->i", first, second)
            total += float(cosines.sum(dtype=np.float64))
            n += int(np.count_nonzero(first.any(axis=1) & second.any(axis=1)))
        return total / n if n else 0.0

    def _unit_kernels(self, network: int, layer: int) -> Float[np.ndarray, "n d"]:
        weight = self.members[network].layers[layer].weight
        return host_unit_kernels(weight.reshape(weight.shape[0] * weight.shape[1], -1))

    def _places(self, i: int, j: int) -> list[tuple[int, int]]:
        return self._matches(self._names(i), self._names(j))

    def _names(self, network: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple((x.layer.name, x.size) for x in self.members[network].layers)

    @staticmethod
    def _matched(first: tuple, second: tuple) -> list[tuple[int, int]]:
        return match_layers(first, second)

    def _pairs(self, i: int, j: int) -> list[tuple[np.ndarray, np.ndarray]]:
        layers = self.members[i].layers, self.members[j].layers
        return [(layers[0][a].weight, layers[1][b].weight) for a, b in self._places(i, j)]

    def _distance(self, i: int, j: int) -> float | None:
        """Return the squared distance of the weights of two networks of the same layers."""
        if self._names_differ(i, j):
            return None
        return float(np.sum(np.square(self._flat(i) - self._flat(j)), dtype=np.float64))

    def _names_differ(self, i: int, j: int) -> bool:
        sizes = [[x.size for x in self.members[k].layers] for k in (i, j)]
        return sizes[0] != sizes[1]

    def _flat(self, network: int) -> Weights:
        return np.concatenate([x.weight.reshape(-1) for x in self.members[network].layers])

    def _same_layers(self, aside: set[int]) -> Iterator[list[int]]:
        groups: dict[tuple, list[int]] = {}
        for i in range(len(self)):
            if i not in aside:
                groups.setdefault(tuple(x.size for x in self.members[i].layers), []).append(i)
        yield from groups.values()


def _copy_of(i: int, j: int, relation: str, source: int | None) -> Copy:
    if source is None:
        return Copy(i, j, relation, directed=False)
    return (
        Copy(i, j, relation, directed=True) if source == 0 else Copy(j, i, relation, directed=True)
    )
