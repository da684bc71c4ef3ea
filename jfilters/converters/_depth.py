"""Depth: the rank of a convolution in its network, from the graph, the place or the name."""

import functools
import re
from collections.abc import Sequence

from ..kernels import DepthSource
from ._names import parts
from ._stored import StoredArray

# Names sort alphabetically, which puts a stem after its blocks and a decoder before its encoder.
# What no entry names comes in the middle.
_PLACES = (
    ("stem", "conv_stem", "patch_embed", "conv_first", "conv_init", "conv_in"),
    ("encoder",),
    (),
    ("decoder",),
    ("head", "classifier", "conv_head", "fc", "conv_last", "conv_out"),
)
_MIDDLE = 2

_PARTS = 1024  # parts of names that are remembered: most names share theirs


def depths(
    arrays: Sequence[StoredArray], names: Sequence[str], order: DepthSource
) -> tuple[list[int], DepthSource]:
    """The depth of each convolution of one network, and what it was read from.

    `names` are those to sort by. Convolutions at one depth of a graph share their rank.
    """
    if arrays and all(array.depth is not None for array in arrays):
        return _ranks([array.depth for array in arrays]), "graph"
    if order == "name-order":
        return _ranks([natural_key(name) for name in names]), order
    return list(range(len(arrays))), order


def relative_depth(depth: int, deepest: int) -> float:
    """`depth` scaled to 0..1; 0 for the only convolution of a network."""
    return depth / deepest if deepest else 0.0


def natural_key(name: str) -> tuple:
    """A sort key: Conv_2 before Conv_10, stems first and heads last among their siblings."""
    return tuple((_place(part), _tokens(part)) for part in parts(name.lower()))


def _ranks(keys: list) -> list[int]:
    rank = {key: index for index, key in enumerate(sorted(set(keys)))}
    return [rank[key] for key in keys]


@functools.lru_cache(maxsize=_PARTS)
def _place(part: str) -> int:
    places = (place for place, prefixes in enumerate(_PLACES) if part.startswith(prefixes))
    return next(places, _MIDDLE)


@functools.lru_cache(maxsize=_PARTS)
def _tokens(part: str) -> tuple:
    # (0, number) sorts before (1, text), so that mixed tokens always compare.
    return tuple(
        (0, int(token)) if token.isdecimal() else (1, token)
        for token in re.split(r"(\d+)", part)
        if token
    )
