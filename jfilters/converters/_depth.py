"""Depth: the rank of a convolution in its network, from the graph, the place or the name.

A file that is sorted by name has lost the order in which its layers run. Names give it back as far as
they speak of roles and numbers; the channels that layers pass to each other tell the rest.
"""

import re
from collections.abc import Sequence

from ..layers import DepthSource
from ._name_tree import Branch, Layers, join
from ._names import parts
from ._siblings import Context, ordered, set_places
from ._stages import join_stages
from ._stored import StoredArray

_SERIAL = re.compile(r"(\d+)[_-]+[a-z]", re.I)
"""A number before the name, as in "012_conv2d"."""


def depths(
    arrays: Sequence[StoredArray],
    names: Sequence[str],
    order: DepthSource,
    shapes: Sequence[tuple[int, ...]],
    transposed: Sequence[bool],
) -> tuple[list[int], DepthSource]:
    """The depth of each convolution of one network, and what it was read from.

    `names` are those to sort by, `shapes` are (out, in, *spatial). Convolutions at one depth of a graph
    share their rank, and so do those of one name.
    """
    if arrays and all(array.depth is not None for array in arrays):
        return _ranks([array.depth for array in arrays]), "graph"
    if order == "name-order":
        return _ranks_by_name(names, shapes, transposed), order
    return list(range(len(arrays))), order


def relative_depth(depth: int, deepest: int) -> float:
    """`depth` scaled to 0..1; 0 for the only convolution of a network."""
    return depth / deepest if deepest else 0.0


def _ranks(keys: list) -> list[int]:
    rank = {key: index for index, key in enumerate(sorted(set(keys)))}
    return [rank[key] for key in keys]


def _ranks_by_name(
    names: Sequence[str], shapes: Sequence[tuple[int, ...]], transposed: Sequence[bool]
) -> list[int]:
    ranks = [0] * len(names)
    if not names:
        return ranks
    serial = [_SERIAL.match(name) for name in names]
    numbers = [int(match[1]) for match in serial if match]
    if len(set(numbers)) == len(names):  # whoever numbered the layers knew their order
        return _ranks(numbers)
    layers = Layers([parts(name.lower()) for name in names], shapes, transposed)
    root = layers.tree()
    _settle(root)
    for rank, members in enumerate(_walked(root, Context(layers.image, is_first=True), [])):
        for index in members:
            ranks[index] = rank
    return ranks


def _settle(branch: Branch) -> None:
    """Put every branch in order by itself, from the leaves up, to learn what it takes and gives."""
    for child in branch.children.values():
        _settle(child)
    if branch.children:
        stages = join_stages(branch)
        for new in () if stages is None else (*stages.children.values(), stages):
            _arrange(new)
        _arrange(branch)


def _arrange(branch: Branch) -> None:
    set_places(branch)
    join(branch, ordered(branch, Context()))


def _walked(branch: Branch, context: Context, result: list[Sequence[int]]) -> list[Sequence[int]]:
    """The layers of a branch as they run, given what comes before it, added to the result."""
    if branch.layers:
        result.append(branch.layers)
    for child in ordered(branch, context) if branch.children else ():
        _walked(child, context, result)
        context = Context(child.gives, child.outputs)
    return result
