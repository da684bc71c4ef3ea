"""The weights below each prefix of their names, and which prefixes hold the same names and shapes."""

import collections
import dataclasses
import re
from collections.abc import Iterator, Sequence

from .._names import parts, qualified
from .._stored import StoredArray

Path = tuple[str, ...]

_DIGITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class Tree:
    """The weights below one prefix, as indices of arrays in the order of their names within it.

    `is_network` says that the prefix leads to what the format itself holds apart, as entries of a dict.
    """

    path: Path
    members: tuple[int, ...]
    is_network: bool

    @property
    def label(self) -> str:
        """The prefix as text."""
        return ".".join(self.path)

    @property
    def numbers(self) -> tuple[str, ...]:
        """All numbers in the prefix: two blocks of one network differ in these alone."""
        return tuple(_DIGITS.findall(self.label))

    def is_disjoint(self, other: "Tree") -> bool:
        """Return whether neither lies within the other."""
        shared = min(len(self.path), len(other.path))
        return self.path[:shared] != other.path[:shared]


def alike(
    arrays: Sequence[StoredArray], weights: Sequence[int], fewest: int
) -> Iterator[list[Tree]]:
    """Trees of the same names and shapes, the largest first; each list in the order of storage.

    Trees of less than the `fewest` weights are left out.
    """
    paths = _paths(arrays, weights)
    groups: dict[tuple[int, int], list[Path]] = collections.defaultdict(list)
    for path, (count, signature) in _signatures(arrays, paths).items():
        if count >= fewest:
            groups[count, signature].append(path)
    groups = {key: matches for key, matches in groups.items() if len(matches) > 1}
    below = _below(paths, {path for matches in groups.values() for path in matches})
    for key in sorted(groups, key=lambda key: -key[0]):
        trees = [_tree(arrays, path, below[path], paths) for path in groups[key]]
        yield sorted(trees, key=lambda tree: min(tree.members))


def within(arrays: Sequence[StoredArray], weights: Sequence[int]) -> Iterator[list[Tree]]:
    """Trees that lie inside a larger one and repeat weights of it: those of the larger one come first."""
    paths = _paths(arrays, weights)
    index_of = {(path, arrays[index].shape): index for index, path in paths.items()}
    members: dict[Path, list[int]] = collections.defaultdict(list)
    for index, path in paths.items():
        for at in range(1, len(path) - 1):
            outer = (*path[: at - 1], *path[at:])
            if (outer, arrays[index].shape) in index_of:
                members[path[:at]].append(index)
    for path, inner in members.items():
        outer = [index_of[_without(paths[i], len(path) - 1), arrays[i].shape] for i in inner]
        yield [Tree(path[:-1], tuple(outer), True), Tree(path, tuple(inner), True)]


def flattened(arrays: Sequence[StoredArray], weights: Sequence[int]) -> Iterator[list[Tree]]:
    """Networks, and copies of them that spell each name with underscores, behind one word."""
    names = {_letters(qualified(arrays[index])): index for index in weights}
    groups: dict[str, list[tuple[int, int]]] = collections.defaultdict(list)
    for index in weights:
        word, _, tail = qualified(arrays[index]).partition("_")
        original = names.get(_letters(tail)) if "." not in word + tail else None
        if original is not None and arrays[original].shape == arrays[index].shape:
            groups[word].append((original, index))
    for word, pairs in groups.items():
        outer, inner = zip(*pairs, strict=True)
        yield [Tree((), outer, True), Tree((word,), inner, True)]


def _letters(name: str) -> str:
    return re.sub(r"[._/]", "", name)


def _without(path: Path, at: int) -> Path:
    return (*path[:at], *path[at + 1 :])


def _paths(arrays: Sequence[StoredArray], weights: Sequence[int]) -> dict[int, Path]:
    """The components of every name; what lies in no network lies in one called by nothing."""
    is_split = any(arrays[index].network for index in weights)
    paths = {index: tuple(parts(qualified(arrays[index]))) for index in weights}
    if not is_split:
        return paths
    return {i: path if arrays[i].network else ("", *path) for i, path in paths.items()}


def _signatures(
    arrays: Sequence[StoredArray], paths: dict[int, Path]
) -> dict[Path, tuple[int, int]]:
    """For every prefix the number of weights below it and a sum of hashes of their names and shapes."""
    signatures: dict[Path, tuple[int, int]] = {}
    for index, path in paths.items():
        name = ""
        for at in range(len(path) - 1, 0, -1):
            # Without separators: some averages keep the names of parameters without dots.
            name = path[at] + name
            count, signature = signatures.get(path[:at], (0, 0))
            mark = hash((name, arrays[index].shape))
            signatures[path[:at]] = (count + 1, (signature + mark) & (2**64 - 1))
    return signatures


def _below(paths: dict[int, Path], prefixes: set[Path]) -> dict[Path, list[int]]:
    members: dict[Path, list[int]] = collections.defaultdict(list)
    for index, path in paths.items():
        for at in range(1, len(path)):
            if path[:at] in prefixes:
                members[path[:at]].append(index)
    return members


def _tree(
    arrays: Sequence[StoredArray], path: Path, members: list[int], paths: dict[int, Path]
) -> Tree:
    ordered = tuple(sorted(members, key=lambda index: "".join(paths[index][len(path) :])))
    network = arrays[ordered[0]].network
    # The members of a stack were trained apart.
    is_apart = bool(network) and not network.endswith("]") and len(path) <= len(parts(network))
    return Tree(path, ordered, path == ("",) or is_apart)
