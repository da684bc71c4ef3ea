"""Matching of the layers of two networks by what is known without weights: sketches, names, shapes."""

import collections
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from ._networks import Shape

Layers = Sequence[tuple[str, Shape]]
"""The name and the shape of every layer of a network, in depth order."""

Places = list[tuple[int, int]]
"""Layers by their places in the first and in the second network."""

_OWN = re.compile(r"(^|[./])(weights?|kernel|w|value|vars/0|depthwise_kernel)$")


def match_layers(
    first: Layers, second: Layers, similar: Mapping[tuple[int, int], float] | None = None
) -> Places:
    """Return pairs of layers of one shape: similar ones first, then namesakes, then those in one order.

    Networks of the same layers are matched layer by layer.

    Args:
        first, second: the layers of two networks.
        similar: pairs that their sketches show to be related, with a number that grows with the similarity.

    >>> match_layers([("a", (4, 4, 3, 3)), ("b", (8, 4, 3, 3))], [("b", (8, 4, 3, 3))])
    [(1, 0)]
    """
    if first == second:
        return [(i, i) for i in range(len(first))]
    if not {shape for _, shape in first} & {shape for _, shape in second}:
        return []
    left, right = dict(enumerate(first)), dict(enumerate(second))
    pairs: Places = []

    def settle(candidates: Iterable[tuple[int, int]]) -> None:
        for i, j in candidates:
            if i in left and j in right and first[i][1] == second[j][1]:
                pairs.append((i, j))
                del left[i], right[j]

    similar = similar or {}
    settle(sorted(similar, key=lambda pair: -similar[pair]))
    settle(_namesakes(left, right))
    settle(_in_order(left, right))
    return sorted(pairs)


def _namesakes(
    first: Mapping[int, tuple[str, Shape]], second: Mapping[int, tuple[str, Shape]]
) -> Places:
    """Return the layers whose name, as far as both have it, is that of one other layer alone."""
    sides = [_by_name(layers) for layers in (first, second)]
    return [(i, sides[1][name]) for name, i in sides[0].items() if name in sides[1]]


def _by_name(layers: Mapping[int, tuple[str, Shape]]) -> dict[str, int]:
    names = {i: _key(name) for i, (name, _) in layers.items()}
    depth = _shared_depth(list(names.values()))
    names = {i: "/".join(name[depth:]) for i, name in names.items()}
    counts = collections.Counter(names.values())
    return {name: i for i, name in names.items() if counts[name] == 1}


def _key(name: str) -> list[str]:
    return re.split(r"[./]+", _OWN.sub("", name) or name)


def _shared_depth(names: Sequence[Sequence[str]]) -> int:
    """Return how many components all names begin with, such as "module" or "backbone"."""
    if len(names) < 2:
        return 0
    depth = 0
    while all(len(name) > depth + 1 and name[depth] == names[0][depth] for name in names):
        depth += 1
    return depth


def _in_order(
    first: Mapping[int, tuple[str, Shape]], second: Mapping[int, tuple[str, Shape]]
) -> Places:
    """Return a common subsequence of both sequences of shapes."""
    sides = [list(layers.items()) for layers in (first, second)]
    shapes = [[shape for _, (_, shape) in side] for side in sides]
    matcher = difflib.SequenceMatcher(None, *shapes, autojunk=False)
    return [
        (sides[0][block.a + k][0], sides[1][block.b + k][0])
        for block in matcher.get_matching_blocks()
        for k in range(block.size)
    ]
