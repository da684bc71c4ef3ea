"""Matching of the layers of two checkpoints: by name, by content, by shape and depth.

Names win; what they leave open is settled by the kernels themselves where these are related, and by the
order of the layers of one shape where they are not. Layers of different shapes are partners where one is a
block of channels of the other, or the other with its axes exchanged.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from ..layers import Layer
from ..shift import kernel_similarity
from ..shift.internal import by_content, is_related, signature
from ._blocks import Block, find_block
from ._transforms import Transform, find_transform

How = Literal["name", "content", "order"]

LARGEST_SEARCH = 4096
"""Pairs of layers of one shape that are compared by content; beyond it their order decides."""

_OWN = re.compile(r"(^|/)(weights?|kernel|w|value|vars/0|depthwise_kernel)$")

_SIDES: tuple[Literal["first"], Literal["second"]] = ("first", "second")

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
    """A layer of the first checkpoint, its partner in the second, and the way they were matched.

    Where their shapes differ, the weight of the second is transformed, or one is a block of the other,
    which is the `wide` one.
    """

    first: ReadableLayer
    second: ReadableLayer
    how: How
    transform: Transform | None = None
    block: Block | None = None
    wide: Literal[0, 1] = 0

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both weights in one shape: the block of the wider one, the second transformed."""
        return self.arranged(self.first.read(), 0), self.arranged(self.second.read(), 1)

    def arranged(self, weight: np.ndarray, side: Literal[0, 1]) -> np.ndarray:
        """Return the weight of one side in the shape that is compared."""
        if self.block is not None and side == self.wide:
            weight = self.block.of(weight)
        return self.transform(weight) if self.transform is not None and side == 1 else weight


@dataclasses.dataclass(frozen=True)
class Unmatched:
    """A layer of one checkpoint without a partner in the other, and why."""

    side: Literal["first", "second"]
    layer: str
    shape: tuple[int, ...]
    reason: str


def pair_layers(
    first: Sequence[ReadableLayer], second: Sequence[ReadableLayer], *, reshaped: bool = False
) -> tuple[list[Pair], list[Unmatched]]:
    """Every layer once: in a pair, in the order of `first`, or unmatched.

    The few kernels of a signature are read of the layers that names leave open.

    Args:
        first, second: the layers of both networks.
        reshaped: look for partners of other shapes too, whose weights are read for that; and doubt equal
            names where one network has more layers.
    """
    namesakes = _by_name([_key(x) for x in first], [_key(x) for x in second])
    matching = _Matching(first, second)
    same = [(i, j) for i, j in namesakes if first[i].shape == second[j].shape]
    is_doubted = reshaped and len(first) != len(second)
    named = [pair for pair in same if not is_doubted or matching.are_related(*pair)]
    matching.add("name", named)
    if reshaped:
        matching.add_reshaped("name", [pair for pair in namesakes if pair not in same])
    matching.add("content", _by_content(*matching.open))
    matching.add("name", [pair for pair in same if matching.is_open(*pair)])
    matching.add("order", _by_order(*matching.open))
    if reshaped and len(first) == len(second):
        matching.add_reshaped(
            "order", [(i, i) for i in range(len(first)) if matching.is_open(i, i)]
        )
    pairs = [matching.pairs[i] for i in sorted(matching.pairs)]
    return pairs, matching.unmatched(namesakes)


class _Matching:
    """The pairs of two networks as they are found, by the places of the first, and the open layers."""

    def __init__(self, first: Sequence[ReadableLayer], second: Sequence[ReadableLayer]):
        self._first, self._second = first, second
        self.pairs: dict[int, Pair] = {}
        self.open = dict(enumerate(first)), dict(enumerate(second))
        self._channels: dict[int, list[Int[np.ndarray, " k"]]] = {0: [], 1: []}

    def is_open(self, i: int, j: int) -> bool:
        """Return whether both layers have no partner."""
        return i in self.open[0] and j in self.open[1]

    def are_related(self, i: int, j: int) -> bool:
        """Return whether a few kernels of two layers of one shape are more alike than strangers'."""
        signatures = (signature(x.read()) for x in (self._first[i], self._second[j]))
        return is_related(kernel_similarity(*signatures))

    def add(self, how: How, pairs: Iterable[tuple[int, int]]) -> None:
        """Add pairs of layers of one shape."""
        for i, j in list(pairs):
            self._add(i, j, Pair(self._first[i], self._second[j], how))

    def add_reshaped(self, how: How, pairs: Iterable[tuple[int, int]]) -> None:
        """Add those pairs of layers of other shapes that their kernels confirm, in order of depth."""
        for i, j in sorted(pairs):
            pair = self._reshaped(self._first[i], self._second[j], how)
            if pair is not None:
                self._add(i, j, pair)

    def unmatched(self, namesakes: Sequence[tuple[int, int]]) -> list[Unmatched]:
        """Return the layers without a partner, with the reasons."""
        shapes = {(0, i): self._second[j].shape for i, j in namesakes}
        shapes |= {(1, j): self._first[i].shape for i, j in namesakes}
        return [
            _unmatched(side, layer, shapes.get((k, i)))
            for k, side in enumerate(_SIDES)
            for i, layer in self.open[k].items()
        ]

    def _add(self, i: int, j: int, pair: Pair) -> None:
        self.pairs[i] = pair
        del self.open[0][i], self.open[1][j]

    def _reshaped(self, first: ReadableLayer, second: ReadableLayer, how: How) -> Pair | None:
        if len(first.shape) != len(second.shape):
            return None
        a, b = first.read(), second.read()
        for wide in (0, 1):
            block = find_block(*((a, b) if wide == 0 else (b, a)), self._channels[wide][::-1])
            if block is not None:
                self._channels[wide].append(block.outputs)
                return Pair(first, second, how, block=block, wide=wide)
        transform = find_transform(a, b)
        return None if transform is None else Pair(first, second, how, transform)


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
