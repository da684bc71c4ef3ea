"""Groups of grouped layers where the file does not say, told by the channels of their neighbors.

A weight of c input channels behind a layer of p outputs has p / c groups, unless its input comes from
elsewhere: a branch, a split, a gate, a skip connection. A number is given only where the neighbors leave
nothing else. Where they leave both open, the groups are None; every other layer is ungrouped.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

MAX_BLOCK = 12
"""Layers before one that count as its block."""

_SURE = 3
"""Groups from which a width is no half, as splits and gates leave it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A convolution: its name in components, its shape (out, in, *spatial) and its groups so far.

    `is_open` says that it may have more of them.
    """

    path: Sequence[str]
    shape: tuple[int, ...]
    groups: int
    is_open: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    """The groups of one layer by those before it, and what they are unless another layer confirms them."""

    groups: int | None = 1
    is_sure: bool = True
    otherwise: int | None = 1


_PLAIN = _Reading()
_DOUBT = _Reading(None)


def grouped(layers: Sequence[Candidate]) -> list[int | None]:
    """The groups of the layers of one network, in depth order; None where they stay in doubt."""
    readings, widths = [], set()
    for index, layer in enumerate(layers):
        readings.append(_read(layers, index, widths) if index and layer.is_open else _PLAIN)
        widths.add(layer.shape[0])
    confirmed = _confirmed(layers, readings)
    result: list[int | None] = []
    for index, (layer, reading) in enumerate(zip(layers, readings, strict=True)):
        groups = reading.groups if index in confirmed else reading.otherwise
        result.append(_beside(layers, result, index, groups) if layer.is_open else layer.groups)
    return result


def _beside(
    layers: Sequence[Candidate], result: list[int | None], index: int, groups: int | None
) -> int | None:
    """The groups of a layer, given those of the layer before it if that takes as many channels."""
    layer, before = layers[index], layers[index - 1]
    if not index or layer.shape[1] != before.shape[1]:
        return groups
    is_repeated = layer.shape == before.shape and before.is_open
    return result[-1] if is_repeated or result[-1] == 1 else groups


def _read(layers: Sequence[Candidate], index: int, widths: set[int]) -> _Reading:
    layer, before = layers[index], layers[index - 1]
    (outputs, inputs), fed = layer.shape[:2], before.shape[0]
    groups, remainder = divmod(fed, inputs)
    # A layer that gives what it takes is behind a split.
    if groups < 2 or remainder or outputs % groups or outputs == inputs:
        return _PLAIN
    shared = _shared(layer, before)
    is_near = shared >= min(len(layer.path), len(before.path)) - 3
    if not is_near or inputs in _block_channels(layers, index, shared):
        return _PLAIN
    if _is_pointwise(before) and outputs == fed:
        is_sure = inputs not in widths and groups >= _SURE
        return _Reading(groups, is_sure, 1 if inputs in widths else None)
    could_be = inputs not in widths and (outputs % fed == 0 or not _is_pointwise(before))
    return _DOUBT if could_be else _PLAIN


def _confirmed(layers: Sequence[Candidate], readings: Sequence[_Reading]) -> set[int]:
    """The readings that are sure, and those that others of the network confirm.

    Networks keep the number of groups or the width of a group throughout.
    """
    claims = {index: r.groups for index, r in enumerate(readings) if r.groups not in (1, None)}
    widths = Counter(layers[index].shape[1] for index, groups in claims.items() if groups >= _SURE)
    counts = Counter(groups for groups in claims.values() if groups >= _SURE)
    sure = {index for index, reading in enumerate(readings) if reading.is_sure}
    return sure | {
        index
        for index, groups in claims.items()
        if widths[layers[index].shape[1]] > 1 or counts[groups] > 1
    }


def _is_pointwise(layer: Candidate) -> bool:
    return set(layer.shape[2:]) == {1}


def _shared(first: Candidate, second: Candidate) -> int:
    """The components that two names begin with alike."""
    pairs = zip(first.path, second.path, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _block_channels(layers: Sequence[Candidate], index: int, shared: int) -> set[int]:
    """The channels into and out of the layers before one that lie in its block."""
    block = layers[index].path[:shared]
    return {
        channels
        for layer in layers[max(index - MAX_BLOCK, 0) : index]
        if layer.path[:shared] == block
        for channels in layer.shape[:2]
    }
