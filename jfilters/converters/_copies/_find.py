"""Find the networks of a checkpoint that are copies of others.

A copy is found by structure: the same names and shapes under another prefix, or a bare list of arrays in
the order of the parameters. That makes two networks of one architecture. Only near values, or a name that
says average, make one the copy of the other; a network without a negative value is a second moment.
"""

import collections
import dataclasses
import functools
import re
from collections.abc import Sequence

from .._names import parts, qualified
from .._not_weights import OPTIMIZER
from .._stored import StoredArray
from ._equal import equal_arrays
from ._lists import aligned_lists, repeated_stream
from ._trees import Path, Tree, alike, flattened, within
from ._values import NEAR, cosine, is_nonnegative, is_zero

NEAR_IF_NAMED = 0.2
"""Cosine that is enough where a name says that one follows the other, as a teacher or a target does."""

_AVERAGE = re.compile(
    r"(^|[^a-z])(emas?|swa|moving_averages?|exponential_moving\w*|polyak|shadow_params)([^a-z]|$)"
)
_FOLLOWER = re.compile(
    r"(^|[^a-z])(teachers?|targets?|tgt|slow|momentum|best|copy|clone|old|prev\w*|last|init\w*|backup|snapshots?"
    r"|reference|frozen|original_module|k|key|mean|averaged?|avg|shadow\w*)([^a-z]|$)"
)
_SURE = re.compile(r"(^|[^a-z])(teachers?|targets?|tgt|slow|momentum)([^a-z]|$)")


@dataclasses.dataclass
class Copies:
    """Reasons for arrays that are second copies, by index, and notes on arrays that may be.

    `networks` gives, for the arrays of a network and of its copies, the prefix that tells them apart.
    """

    reasons: dict[int, str] = dataclasses.field(default_factory=dict)
    networks: dict[int, str] = dataclasses.field(default_factory=dict)
    notes: dict[int, str] = dataclasses.field(default_factory=dict)


def find_copies(arrays: Sequence[StoredArray], weights: Sequence[int], *, compare: bool) -> Copies:
    """Return the copies among the `weights`, which are indices of arrays.

    Without `compare` no value is read, and names alone decide between networks of one architecture.
    """
    search = _Search(arrays, compare)
    is_named = _is_any_named(arrays, weights)
    # Copies of a single weight have to be called so, or lie in entries of their own.
    fewest = 1 if is_named or any(arrays[index].network for index in weights) else 2
    for trees in alike(arrays, weights, fewest):
        for cluster in _clusters(trees):
            search.settle(cluster)
    for pairs in (within, flattened) if is_named else ():
        for outer, inner in pairs(arrays, search.left(weights)):
            search.settle_inner(outer, inner)
    for tree, members in aligned_lists(arrays, search.left(weights)):
        search.settle_list(tree, members)
    if compare:
        search.copies.reasons |= equal_arrays(arrays, search.left(weights))
        repeats, notes = repeated_stream(arrays, search.left(weights))
        search.copies.reasons |= repeats
        search.copies.notes |= notes
    return search.copies


def _is_any_named(arrays: Sequence[StoredArray], weights: Sequence[int]) -> bool:
    """Return whether any component of a name says that it is an average or follows another network."""
    components = {part for index in weights for part in parts(qualified(arrays[index]))}
    return any(_matches(words, part) for part in components for words in (_AVERAGE, _FOLLOWER))


def _clusters(trees: list[Tree]) -> list[list[Tree]]:
    """The trees that may be copies of one another: blocks that differ in their numbers alone are not."""
    if len(trees[0].members) == 1 and not any(_may_be_alone(tree, trees) for tree in trees):
        return []
    by_numbers: dict[tuple[str, ...], list[Tree]] = collections.defaultdict(list)
    for tree in trees:
        by_numbers[tree.numbers].append(tree)
    clusters = list(by_numbers.values())
    single = [cluster[0] for cluster in clusters[1:] if len(cluster) == 1]
    joining = [tree for tree in single if _may_be_alone(tree, trees)]
    clusters = [cluster for cluster in clusters if cluster[0] not in joining]
    if joining:
        clusters[0] = [*clusters[0], *joining]
    return [cluster for cluster in clusters if len(cluster) > 1]


def _may_be_alone(tree: Tree, trees: Sequence[Tree]) -> bool:
    """Return whether a tree can be the copy of one with other numbers, or of a single weight."""
    return tree.is_network or _says(_AVERAGE, tree, trees) or _says(_FOLLOWER, tree, trees)


def _says(words: re.Pattern[str], tree: Tree, trees: Sequence[Tree]) -> bool:
    """Return whether a component of the prefix that not all the trees have is one of some words."""
    if not any(_matches(words, part) for part in tree.path):
        return False
    shared = set.intersection(*(set(other.path) for other in trees))
    return any(_matches(words, part) for part in tree.path if part not in shared)


@functools.lru_cache(maxsize=4096)
def _matches(words: re.Pattern[str], part: str) -> bool:
    return words.search(part.lower()) is not None


class _Search:
    """The copies of one checkpoint as far as they are settled."""

    def __init__(self, arrays: Sequence[StoredArray], compare: bool):
        self.copies = Copies()
        self._arrays, self._compare = arrays, compare
        self._apart: set[tuple[Path, Path]] = set()

    def left(self, weights: Sequence[int]) -> list[int]:
        """The weights that are no copies."""
        return [index for index in weights if index not in self.copies.reasons]

    def settle(self, cluster: list[Tree]) -> None:
        """Find out which trees of one structure are copies of the first of them that is not named so."""
        free = [tree for tree in cluster if self.copies.reasons.keys().isdisjoint(tree.members)]
        plain = [tree for tree in free if not self._is_named(tree, cluster)]
        original = next(iter(plain or free), None)
        moments, strangers = [], []
        for tree in free:
            if tree is original or original is None or self._is_settled(original, tree):
                continue
            match self._relation(original, tree, cluster):
                case "copy":
                    self._add(original, tree, _says(_AVERAGE, tree, cluster))
                case "moment":
                    moments.append(tree)
                case _:
                    strangers.append(tree)
                    self._apart.add((original.path, tree.path))
        # First moments lie beside the second ones.
        places = {tree.path[:-1] for tree in moments}
        moments += [tree for tree in strangers if tree.path[:-1] in places]
        self.copies.reasons |= {index: OPTIMIZER for tree in moments for index in tree.members}

    def settle_inner(self, outer: Tree, inner: Tree) -> None:
        """Find out whether a network within another, under a name that says so, is a copy of that."""
        trees = [outer, inner]
        is_left = self.copies.reasons.keys().isdisjoint((*outer.members, *inner.members))
        is_named = is_left and self._is_named(inner, trees)
        if is_named and self._relation(outer, inner, trees) == "copy":
            self._add(outer, inner, _says(_AVERAGE, inner, trees))

    def settle_list(self, original: Tree, listed: Tree) -> None:
        """Say what a bare list of arrays is that has the shapes of a network in its order."""
        trees = [original, listed]
        if self._relation(original, listed, trees) == "copy":
            self._add(original, listed, _says(_AVERAGE, listed, trees))
            return
        reason = f"a list without names that repeats the shapes of {original.label}: gradients or moments"
        self.copies.reasons |= dict.fromkeys(listed.members, reason)

    def _is_named(self, tree: Tree, cluster: Sequence[Tree]) -> bool:
        return _says(_AVERAGE, tree, cluster) or _says(_FOLLOWER, tree, cluster)

    def _is_settled(self, original: Tree, tree: Tree) -> bool:
        """Return whether these are parts of one another, or the same part of two different networks."""
        if not original.is_disjoint(tree):
            return True
        pairs = zip(reversed(original.path), reversed(tree.path), strict=False)
        for count, (part, other) in enumerate(pairs, 1):
            if part != other:
                return False
            if (original.path[:-count], tree.path[:-count]) in self._apart:
                return True
        return False

    def _relation(self, original: Tree, tree: Tree, cluster: Sequence[Tree]) -> str:
        """Tell a copy and a second moment from another network of the same architecture."""
        pairs = list(zip(original.members, tree.members, strict=True))
        if any(self._arrays[a].shape != self._arrays[b].shape for a, b in pairs):
            return "stranger"
        if _says(_AVERAGE, tree, cluster):
            return "copy"
        if not self._compare:
            return "copy" if _says(_SURE, tree, cluster) else "stranger"
        if is_nonnegative(self._arrays, tree.members) and not is_zero(self._arrays, tree.members):
            return "moment"
        enough = NEAR_IF_NAMED if _says(_FOLLOWER, tree, cluster) else NEAR
        return "copy" if cosine(self._arrays, pairs) >= enough else "stranger"

    def _add(self, original: Tree, copy: Tree, is_average: bool) -> None:
        word = "moving-average copy" if is_average else "second copy"
        for index, repeated in zip(original.members, copy.members, strict=True):
            self.copies.reasons[repeated] = f"{word} of {qualified(self._arrays[index])}"
            self.copies.networks.setdefault(index, original.label)
            self.copies.networks[repeated] = copy.label
