"""Matching of the layers of two checkpoints: by name, by content, by shape and depth.

Names win; what they leave open is settled by the kernels themselves where these are related, and by the
order of the layers of one shape where they are not.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from ..layers import Layer
from ..shift.internal import by_content, signature

How = Literal["name", "content", "order"]

LARGEST_SEARCH = 4096
"""Pairs of layers of one shape that are compared by content; beyond it their order decides."""

_OWN = re.compile(r"(^|/)(weights?|kernel|w|value|vars/0|depthwise_kernel)$")

_Key = tuple[str, ...]


@runtime_checkable
class ReadableLayer(Protocol):
    """One layer, stored or in memory: its record, under its own name and that with its network."""

    @property
    def layer(self) -> Layer:
        """The record."""
        ...

    @property
    def qualified(self) -> Layer:
        """The record under a name that says of which network it is."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (out, in, *spatial) of the weight."""
        ...

    def read(self) -> np.ndarray:
        """Return the weight in float32."""
        ...


@dataclasses.dataclass(frozen=True)
class Pair:
    """A layer of the first checkpoint, its partner in the second, and the way they were matched."""

    first: ReadableLayer
    second: ReadableLayer
    how: How


@dataclasses.dataclass(frozen=True)
class Unmatched:
    """A layer of one checkpoint without a partner in the other, and why."""

    side: Literal["first", "second"]
    layer: str
    shape: tuple[int, ...]
    reason: str


def pair_layers(
    first: Sequence[ReadableLayer], second: Sequence[ReadableLayer]
) -> tuple[list[Pair], list[Unmatched]]:
    """Every layer once: in a pair of equal shapes, in the order of `first`, or unmatched.

    The few kernels of a signature are read of the layers that names leave open.
    """
    unmatched_first, unmatched_second = dict(enumerate(first)), dict(enumerate(second))
    matches: dict[int, tuple[int, How]] = {}
    namesakes = _by_name([_key(x) for x in first], [_key(x) for x in second])
    steps: tuple[tuple[How, Iterable[tuple[int, int]]], ...] = (
        ("name", ((i, j) for i, j in namesakes if first[i].shape == second[j].shape)),
        ("content", _by_content(unmatched_first, unmatched_second)),
        ("order", _by_order(unmatched_first, unmatched_second)),
    )
    for how, pairs in steps:
        for i, j in list(pairs):
            matches[i] = (j, how)
            del unmatched_first[i], unmatched_second[j]
    other = {(0, i): second[j].shape for i, j in namesakes} | {
        (1, j): first[i].shape for i, j in namesakes
    }
    unmatched = [_unmatched("first", x, other.get((0, i))) for i, x in unmatched_first.items()]
    unmatched += [_unmatched("second", x, other.get((1, j))) for j, x in unmatched_second.items()]
    return [Pair(first[i], second[j], how) for i, (j, how) in sorted(matches.items())], unmatched


def _by_name(first: Sequence[_Key], second: Sequence[_Key]) -> list[tuple[int, int]]:
    """Equal names, and names of which one ends in the other, as with "module." or "backbone." before it."""
    pairs = _where_unique(first, second)
    lefts = {i for i, _ in pairs}
    rights = {j for _, j in pairs}
    unnamed_first = [i for i in range(len(first)) if i not in lefts]
    unnamed_second = [j for j in range(len(second)) if j not in rights]
    inside = [
        *_ends([(i, first[i]) for i in unnamed_first], [(j, second[j]) for j in unnamed_second]),
        *(
            (i, j)
            for j, i in _ends(
                [(j, second[j]) for j in unnamed_second], [(i, first[i]) for i in unnamed_first]
            )
        ),
    ]
    return pairs + _one_to_one(inside)


def _where_unique(first: Sequence[_Key], second: Sequence[_Key]) -> list[tuple[int, int]]:
    places = {key: j for j, key in enumerate(second)}
    return _one_to_one((i, places[key]) for i, key in enumerate(first) if key in places)


def _ends(
    shorter: Sequence[tuple[int, _Key]], longer: Sequence[tuple[int, _Key]]
) -> Iterator[tuple[int, int]]:
    """Pairs of which the second's name is the first's after a prefix."""
    places = {key: i for i, key in shorter}
    for j, key in longer:
        for start in range(1, len(key)):
            if key[start:] in places:
                yield places[key[start:]], j
                break


def _one_to_one(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs whose members are in no other pair."""
    listed = sorted(set(pairs))
    lefts, rights = (
        collections.Counter(side) for side in ([i for i, _ in listed], [j for _, j in listed])
    )
    return [(i, j) for i, j in listed if lefts[i] == 1 and rights[j] == 1]


def _by_content(
    first: dict[int, ReadableLayer], second: dict[int, ReadableLayer]
) -> Iterator[tuple[int, int]]:
    by_shape, second_by_shape = _by_shape(first), _by_shape(second)
    for shape in by_shape:
        a, b = by_shape[shape], second_by_shape.get(shape, [])
        if not 1 < len(a) * len(b) <= LARGEST_SEARCH:
            continue  # one of each: their order says the same
        kernels = [
            np.stack([signature(side[k].read()) for k in places])
            for side, places in ((first, a), (second, b))
        ]
        yield from ((a[i], b[j]) for i, j in by_content(*kernels))


def _by_order(
    first: dict[int, ReadableLayer], second: dict[int, ReadableLayer]
) -> Iterator[tuple[int, int]]:
    """The layers of each shape in the order of their depths."""
    by_shape, second_by_shape = _by_shape(first), _by_shape(second)
    for shape in by_shape:
        yield from zip(by_shape[shape], second_by_shape.get(shape, []), strict=False)


def _by_shape(layers: dict[int, ReadableLayer]) -> dict[tuple[int, ...], list[int]]:
    places: dict[tuple[int, ...], list[int]] = {}
    for index, layer in layers.items():
        places.setdefault(layer.shape, []).append(index)
    return places


def _key(stored: ReadableLayer) -> _Key:
    """The components of a name that say which layer it is: "net.conv1.weight" is ("net", "conv1")."""
    name = re.sub(r"[./]+", "/", stored.qualified.name)
    return tuple((_OWN.sub("", name) or name).split("/"))


def _unmatched(
    side: Literal["first", "second"], stored: ReadableLayer, other: tuple[int, ...] | None
) -> Unmatched:
    shape = "x".join(map(str, other)) if other else ""
    reason = f"of the same name, but {shape}" if other else "no layer of its shape is left"
    return Unmatched(side, stored.qualified.name, stored.shape, reason)
