"""One family by the weights of its members: how close they are, which are copies, and who has children."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ...compare import Comparison
from ...compare.internal import Sums, compare_layers
from ...lineage.internal import Copy, Descent, Soup, find_soups, match_layers
from ...statistics.internal import host_unit_kernels
from ._weights import Member

ALL_PAIRS = 8
"""Members of a family up to which all pairs are compared in every way; of more, each with the nearest."""

NEAREST = 6

NEAR_SOUP, NEAR_RESCALED = 1.0, 0.8
"""Squared distance of a child from an average or a rescaled copy, as a share of that from its sources."""

RIGHT_ANGLE = (-0.3, 0.4)
"""Cosines under which the base of two parts of an average sees both."""

CONTAINED, HALF = 0.9, 0.5
"""Share of a network's kernels in another from which it is a part of that, and from which it is near."""

KEPT_ZEROS = 0.98
"""Share of the zeros of a pruned network that a network trained onward from it has."""

CHILD_OF_COPY = -0.5
"""Difference of the squared distances from a rounded copy and from its source, in squared lengths of the
rounding: -1 for a child of the copy, 1 for one of the source, 0 for a network in another order."""

LARGEST_ERROR = 0.3
"""Standard deviation up to which it shows whether a network descends from a rounded copy or its source."""

Weights = Float[np.ndarray, " m"]

_Layers = tuple[tuple[str, tuple[int, ...]], ...]
_Source = tuple[Literal[0, 1] | None, str]
_CUES = {
    "quantized": "the other rounds to its grid",
    "pruned": "the zeros are in the copy alone",
}


class FamilyWeights:
    """The members of one family, and what their weights say about pairs of them.

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
        self.members, self._batchnorm = members, batchnorm
        self._reordered, self._contained = reordered, contained
        self.comparison = functools.cache(self._comparison)
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
        sources = {(copy.source, copy.copy) for copy in copies}
        result = []
        for child in children:
            relatives = [
                c for c in copies if c.source not in aside and (child, c.copy) not in sources
            ]
            result += [x for copy in relatives if (x := self._from_copy(child, copy)) is not None]
            result += [x for s in soups if (x := self._from_soup(child, s, updates)) is not None]
        return self._nearest_ancestors(result)

    def changes_low_rank(self, i: int, j: int) -> bool:
        """Return whether the change of every changed layer has a low rank, as of a merged adapter."""
        layers = [x for x in self.comparison(i, j).layers if x.rounding is None]
        return bool(layers) and all(layer.change_rank is not None for layer in layers)

    def is_reordered(self, i: int, j: int) -> bool:
        """Return whether the channels of two networks may be in different orders."""
        return bool(self._reordered[i, j])

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
            return _copy_of(i, j, relation.label, *self._saved_from(i, j, comparison))
        if relation.label in ("quantized", "pruned"):
            return _copy_of(i, j, relation.label, relation.source, _CUES[relation.label])
        if relation.label == "rescaled":
            return _copy_of(i, j, relation.label, *self._unfolded(i, j))
        return self._part(i, j)

    def _part(self, i: int, j: int) -> Copy | None:
        """Return the pair of which one has nothing but kernels of the other; which came first where the
        smaller one lost channels."""
        shares = self._contained[i, j], self._contained[j, i]
        if max(shares) < CONTAINED or min(shares) >= CONTAINED:
            return None
        part = i if shares[0] >= CONTAINED else j
        whole_layers = len(self._places(i, j)) == len(self.members[part].layers)
        source = None if whole_layers else (1 if part == i else 0)
        return _copy_of(
            i, j, "sub-network", source, "the other has more channels of the same kernels"
        )

    def _saved_from(self, i: int, j: int, comparison: Comparison) -> _Source:
        """Return which of two equal networks the other was saved from, 0 or 1, and the cue."""
        if any(layer.difference.changed for layer in comparison.layers):
            a, b = self.members[i].precision, self.members[j].precision
            if a != b:
                return (0 if a > b else 1), "values were lost to rounding"
        if any(layer.reordered for layer in comparison.layers):
            return self._nearer_to_all(
                i, j
            ), "the relatives have the order of channels of the other"
        return None, ""

    def _unfolded(self, i: int, j: int) -> _Source:
        """Return which of two equivalent networks has the BatchNorm that the other lacks, and the cue."""
        has = self._batchnorm[i], self._batchnorm[j]
        if has in ((True, False), (False, True)):
            return (0 if has[0] else 1), "BatchNorm is folded into the kernels"
        return self._nearer_to_all(i, j), "the relatives have the scale of the other"

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
        groups = self._same_names()
        for a, (names, first) in enumerate(groups):
            for other_names, second in groups[: a + 1]:
                places = self._matches(names, other_names)
                index = np.ix_(first, second)
                cosine[index] = self._mean_cosines(first, second, places)
                unmatched[index] = len(names) + len(other_names) - 2 * len(places)
                cosine[index[::-1]], unmatched[index[::-1]] = cosine[index], unmatched[index]
        for i, j in zip(*np.nonzero(self._reordered), strict=True):
            cosine[i, j] = self._whole_cosine(*sorted((int(i), int(j))))
        share = np.maximum(self._contained, self._contained.T)
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
            masks = (x.any(axis=2).astype(np.float32) for x in units)
            n += np.matmul(*(mask if k == 0 else mask.T for k, mask in enumerate(masks)))
        return total / np.where(n > 0, n, 1)

    def _unit_kernels(self, networks: Sequence[int], layer: int) -> Float[np.ndarray, "m n d"]:
        weights = [self.members[i].layers[layer].weight for i in networks]
        rows = np.stack([x.reshape(x.shape[0] * x.shape[1], -1) for x in weights])
        return host_unit_kernels(rows.reshape(-1, rows.shape[2])).reshape(rows.shape)

    def _whole_cosine(self, i: int, j: int) -> float:
        sums = Sums.of(self.comparison(i, j).layers, self.members[i].side, self.members[j].side)
        return sums.cosine if sums.cosine == sums.cosine else 0.0

    def _same_names(self) -> list[tuple[_Layers, list[int]]]:
        groups: dict[_Layers, list[int]] = {}
        for i in range(len(self)):
            groups.setdefault(self._names(i), []).append(i)
        return list(groups.items())

    def _places(self, i: int, j: int) -> list[tuple[int, int]]:
        return self._matches(self._names(i), self._names(j))

    def _names(self, network: int) -> _Layers:
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


def _copy_of(i: int, j: int, relation: str, source: int | None, cue: str) -> Copy:
    if source is None:
        return Copy(i, j, relation)
    return Copy(i, j, relation, cue) if source == 0 else Copy(j, i, relation, cue)
