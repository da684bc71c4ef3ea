"""The convolutions of a graph: the stored value that each one's weight is, its groups and its depth."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator

from .._graph_depth import longest_paths
from ._arranged import arranged
from ._flat import ARGUMENT, CALL, MISSING, FlatGraph, Reference, data_feeds
from ._operators import (
    CONSTANT,
    CONVOLUTIONS,
    KEEPING,
    TRANSPARENT,
    VARIABLES,
    WITHOUT_INPUT,
    is_unknown_convolution,
    keeps_house,
)
from ._value import NotFollowed, Value, keys_of

MAX_STEPS = 64
"""Operators between a stored weight and the convolution that applies it."""


@dataclasses.dataclass(frozen=True)
class Use:
    """A convolution: its operator and depth, and the value that it applies.

    `keys` are those of all stored values that it is made of. `reason` says why it is not read.
    """

    op: str
    name: str
    depth: int | None
    groups: int | None
    value: Value | None
    keys: tuple[Hashable, ...]
    reason: str = ""


Lookup = Callable[[FlatGraph, int], Value | None]
"""Finds what is stored for a constant or a variable, by the number of its node."""


class Uses:
    """The convolutions of a graph whose constants and variables `lookup` knows."""

    def __init__(self, graph: FlatGraph, lookup: Lookup):
        self.graph, self._lookup = graph, lookup
        self._feeds = list(data_feeds(graph))
        nodes = graph.nodes
        starts = [
            number
            for number, feeds in enumerate(self._feeds)
            if not feeds and number != MISSING and nodes[number].op not in WITHOUT_INPUT
        ]
        costs = [int(node.op not in (ARGUMENT, CALL)) for node in nodes]
        self._depths = longest_paths(self._feeds, starts, costs)
        self._channels: dict[Reference, int | None] = {}
        self._traced: dict[Reference, Value | NotFollowed] = {}
        self._leaves: dict[int, Value | None] = {}
        self._nesting = 0

    def __iter__(self) -> Iterator[Use]:
        """All convolutions, those that come first in the network before the others."""
        numbers = [
            number for number, node in enumerate(self.graph.nodes) if node.op in CONVOLUTIONS
        ]
        numbers.sort(key=lambda number: (self._depth(number) or 0, number))
        return (self._use(number) for number in numbers)

    def roles(self) -> Iterator[tuple[Hashable, str]]:
        """For each stored value the operators that read it, behind those that pass it on."""
        for node in self.graph.nodes:
            if node.op in (ARGUMENT, CALL) or node.op in TRANSPARENT or keeps_house(node.op):
                continue
            for position, reference in enumerate(node.feeds):
                value = self._stored(reference)
                if value is not None:
                    yield value.key, _role(node.op, position)

    def _stored(self, reference: Reference) -> Value | None:
        for _ in range(MAX_STEPS):
            reference = self.graph.resolved(reference)
            node = self.graph.nodes[reference[0]]
            if node.op not in TRANSPARENT or not node.feeds:
                break
            reference = node.feeds[0]
        return self._leaf(reference[0])

    def _leaf(self, number: int) -> Value | None:
        if self.graph.nodes[number].op not in (CONSTANT, *VARIABLES):
            return None
        if number not in self._leaves:
            self._leaves[number] = self._lookup(self.graph, number)
        return self._leaves[number]

    def _use(self, number: int) -> Use:
        node, depth = self.graph.nodes[number], self._depth(number)
        convolution = CONVOLUTIONS[node.op]
        name = node.record.name if node.record else node.op
        try:
            if len(node.feeds) <= convolution.weight:
                raise NotFollowed("a convolution without weight")
            value = self.traced(node.feeds[convolution.weight])
        except NotFollowed as error:
            return Use(node.op, name, depth, None, None, error.keys, str(error))
        groups = self._groups(number, value.shape)
        return Use(node.op, name, depth, groups, value, keys_of(value))

    def _depth(self, number: int) -> int | None:
        return None if self._depths is None else max(self._depths[number], 0)

    def traced(self, reference: Reference) -> Value:
        """The stored value that an output is, through operators that only arrange it."""
        reference = self.graph.resolved(reference)
        result = self._traced.get(reference)
        if result is None:
            # Whatever leads back to here has no end.
            self._traced[reference] = NotFollowed("made of itself")
            try:
                result = self._followed(reference)
            except NotFollowed as error:
                result = error
            self._traced[reference] = result
        if isinstance(result, NotFollowed):
            raise result
        return result

    def _followed(self, reference: Reference) -> Value:
        node = self.graph.nodes[reference[0]]
        if (leaf := self._leaf(reference[0])) is not None:
            return leaf
        if node.op in VARIABLES or node.op == CONSTANT:
            raise NotFollowed("a variable without stored values")
        if not node.feeds:
            raise NotFollowed("given when the network is run")
        if self._nesting >= MAX_STEPS:
            raise NotFollowed(f"behind more than {MAX_STEPS} operators")
        self._nesting += 1
        try:
            if node.op in TRANSPARENT:
                return self.traced(node.feeds[0])
            return arranged(self.traced, node.op, node.feeds, node.record)
        finally:
            self._nesting -= 1

    def _groups(self, number: int, shape: tuple[int, ...]) -> int | None:
        node = self.graph.nodes[number]
        convolution = CONVOLUTIONS[node.op]
        if convolution.axes == "HWIM" or convolution.transposed or len(shape) < 3:
            return None if convolution.axes == "HWIM" else 1
        if node.record and node.record.attribute("data_format") in (b"NCHW", "NCHW"):
            return None
        channels = self._channels_of(node.feeds[convolution.image])
        outputs, inputs = shape[-1], shape[-2]
        if channels is None or not inputs or channels % inputs:
            return None
        groups = channels // inputs
        return groups if groups and outputs % groups == 0 else None

    def _channels_of(self, reference: Reference) -> int | None:
        """The channels of an image, by the convolutions that it comes from, where they tell."""
        path: list[Reference] = []
        for _ in range(MAX_STEPS):
            reference = self.graph.resolved(reference)
            if reference in self._channels:
                break
            path.append(reference)
            node = self.graph.nodes[reference[0]]
            if (node.op not in KEEPING and node.op not in TRANSPARENT) or not node.feeds:
                self._channels[reference] = self._own_channels(reference[0])
                break
            # An operator on two images has the constant, if there is one, in either place.
            first = next((r for r in node.feeds if self._stored(r) is None), node.feeds[0])
            reference = first
        channels = self._channels.get(reference)
        self._channels |= dict.fromkeys(path, channels)
        return channels

    def _own_channels(self, number: int) -> int | None:
        node = self.graph.nodes[number]
        if node.op in CONVOLUTIONS and len(node.feeds) > 1:
            try:
                shape = self.traced(node.feeds[CONVOLUTIONS[node.op].weight]).shape
            except NotFollowed:
                return None
            sizes = dict(zip(CONVOLUTIONS[node.op].axes[::-1], shape[::-1], strict=False))
            return sizes["I"] * sizes["M"] if "M" in sizes else sizes.get("O")
        shape = node.record.attribute("shape") if node.record else None
        is_input = node.op.startswith("Placeholder") and isinstance(shape, tuple) and shape
        return shape[-1] if isinstance(shape, tuple) and is_input and shape[-1] > 0 else None


def _role(op: str, position: int) -> str:
    convolution = CONVOLUTIONS.get(op)
    if convolution is not None:
        return f"a parameter of {op}" if position != convolution.weight else f"a weight of {op}"
    if is_unknown_convolution(op) and position:
        return f"a weight of {op}, whose axes are not known"
    return f"used by {op}, not by a convolution"
