"""The weights of all convolutions of a graph: those that can be read, and the reasons against others."""

import dataclasses
import math
from collections.abc import Iterator, Mapping

from ._convolutions import CONVOLUTIONS, obstacle
from ._graph import ABSENT, Graph, Stored
from ._operators import OPERATIONS
from ._scales import dequantized, input_at
from ._tensor import Tensor
from ._tracing import Failure, Tracer, Untraced
from ._value import Value

DEAD = "used by a convolution whose result nothing uses"


@dataclasses.dataclass
class Weight:
    """A weight that convolutions apply; `node` is the closest to the inputs of those in `nodes`.

    `main` is the stored tensor that it goes by. It is not `live` if no output depends on it.
    """

    value: Value
    main: Stored | None
    node: int
    depth: int
    live: bool
    nodes: list[int]


@dataclasses.dataclass
class Weights:
    """The weights of a graph, and what is to be said about the stored tensors that are none.

    - `read`: by the places of the stored tensors that they go by, ABSENT for none.
    - `reasons`: against stored tensors, by their places; `unread` are those that a convolution misses.
    - `missing`: the reasons of convolutions that no stored tensor stands for, by their nodes.
    - `given`: the inputs of the network that are weights.
    - `parts`: the reasons of stored tensors that merely take part in a weight, by their places.
    """

    read: dict[int, list[Weight]] = dataclasses.field(default_factory=dict)
    reasons: dict[int, str] = dataclasses.field(default_factory=dict)
    unread: set[int] = dataclasses.field(default_factory=set)
    missing: dict[int, str] = dataclasses.field(default_factory=dict)
    given: dict[int, None] = dataclasses.field(default_factory=dict)
    parts: dict[int, str] = dataclasses.field(default_factory=dict)


def collect(graph: Graph, tensors: Mapping[int, Tensor]) -> Weights:
    """The weights of all convolutions, each once, however many convolutions apply it."""
    # Depths come first: they refuse a graph with a cycle.
    collector = _Collector(graph, tensors, graph.depths())
    for node, op in enumerate(graph.ops):
        if op in CONVOLUTIONS:
            collector.add(node)
        elif obstacle(op):
            collector.refuse(node)
    return collector.result()


def _key(value: Value, main: Stored | None) -> tuple[Value, int]:
    return value, _place(main)


def _place(main: Stored | None) -> int:
    return main.message.start if main else ABSENT


class _Collector:
    """The convolutions of a graph, one after the other."""

    def __init__(self, graph: Graph, tensors: Mapping[int, Tensor], depths: list[int]):
        self._graph, self._tensors, self._depths = graph, tensors, depths
        self._tracer, self._live = Tracer(graph, tensors, depths), graph.live()
        self._weights: dict[tuple[Value, int], Weight] = {}
        self._failures: dict[int, tuple[int, Failure]] = {}
        self._sources: dict[int, int] = {}

    def add(self, node: int) -> None:
        """Note the weight of a convolution."""
        source = input_at(self._graph, node, CONVOLUTIONS[self._graph.ops[node]].weight)
        try:
            value, main = self._weight(node, source)
        except Untraced as error:
            self._fail(node, source, error)
            return
        key = _key(value, main)
        # Without a path from an input, a convolution comes first.
        depth, live = max(self._depths[node], 0), bool(self._live[node])
        weight = self._weights.setdefault(key, Weight(value, main, node, depth, live, []))
        weight.nodes.append(node)
        if (not live, depth) < (not weight.live, weight.depth):
            weight.node, weight.depth, weight.live = node, depth, live
        if live or source not in self._sources:
            self._sources[source] = node

    def refuse(self, node: int) -> None:
        """Note a convolution whose weight is stored in an order that is not known."""
        reads = dict.fromkeys(value for value in self._graph.reads(node) if value != ABSENT)
        for value in filter(self._tracer.is_constant, reads):
            stored = self._main(value)
            if stored and self._is_like_a_weight(stored.message.start):
                reason = str(obstacle(self._graph.ops[node]))
                self._fail(node, value, Untraced(reason, blamed=[stored]))
                return

    def result(self) -> Weights:
        """All that was noted."""
        weights = Weights()
        # What lives goes first: a stored tensor stands for the first one that needs it.
        for weight in sorted(self._weights.values(), key=lambda x: (not x.live, x.depth, x.node)):
            siblings = weights.read.setdefault(_place(weight.main), [])
            if weight.live or not siblings:
                siblings.append(weight)
        failures = sorted(self._failures.values(), key=lambda pair: not self._live[pair[0]])
        for node, failure in failures:
            self._settle(weights, node, failure)
        weights.parts = self._parts()
        return weights

    def _weight(self, node: int, source: int) -> tuple[Value, Stored | None]:
        """The weight of a convolution and the stored tensor that it goes by. Raises Untraced."""
        convolution = CONVOLUTIONS[self._graph.ops[node]]
        traced = self._tracer.trace(source)
        value = traced.value
        if convolution.zero is not None:
            value = dequantized(self._tracer, node, convolution, traced)
        if _key(value, traced.main) not in self._weights:
            try:
                self._tracer.budget.check(value)
            except ValueError as error:
                raise Untraced(str(error), blamed=[traced.main]) from error
        return value, traced.main

    def _fail(self, node: int, source: int, error: Untraced) -> None:
        """Note a convolution that misses its weight, once for every weight, first for one that lives."""
        # A convolution without a weight input misses one of its own.
        place = source or ~node
        earlier = self._failures.get(place)
        if earlier is None or (self._live[node] and not self._live[earlier[0]]):
            self._failures[place] = node, Failure(error.reason, error.blamed, error.value)

    def _settle(self, weights: Weights, node: int, failure: Failure) -> None:
        """Put the reason why a weight is not read where it belongs."""
        places = dict.fromkeys(stored.message.start for stored in failure.blamed)
        reason = self._reason(node, failure)
        for place in places:
            weights.reasons.setdefault(place, reason)
        if not self._live[node]:
            return
        if failure.value in self._graph.inputs:
            weights.given[failure.value] = None
            return
        if self._is_pointwise(node):
            return
        free = [
            place
            for place in places
            if self._is_like_a_weight(place)
            and place not in weights.unread
            and not any(weight.live for weight in weights.read.get(place, ()))
        ]
        if free:
            place = max(free, key=lambda place: math.prod(self._tensors[place].shape))
            weights.reasons[place] = reason
            weights.unread.add(place)
        else:
            weights.missing[node] = reason

    def _reason(self, node: int, failure: Failure) -> str:
        if not self._live[node]:
            return DEAD
        op, label = self._graph.ops[node], self._graph.node(node).label
        return f"not followed to {op} {label}: {failure.reason}"

    def _is_like_a_weight(self, place: int) -> bool:
        return len(self._tensors[place].shape) >= 3

    def _is_pointwise(self, node: int) -> bool:
        """True for a convolution that says it has no spatial extent: its weight is no kernel."""
        extent = self._graph.attributes(node).get("kernel_shape")
        return extent is not None and set(extent.ints()) == {1}

    def _main(self, value: int) -> Stored | None:
        try:
            return self._tracer.trace(value).main
        except Untraced as error:
            return next(iter(error.blamed), None)

    def _parts(self) -> dict[int, str]:
        """The reasons of the stored tensors in weights, those of weights that live first."""
        parts: dict[int, str] = {}
        visited: set[int] = {ABSENT}
        sources = sorted(self._sources.items(), key=lambda pair: not self._live[pair[1]])
        for source, node in sources:
            op, label = self._graph.ops[node], self._graph.node(node).label
            reason = f"part of the weight of {op} {label}" if self._live[node] else DEAD
            for stored in self._walk(source, visited):
                parts.setdefault(stored.message.start, reason)
        return parts

    def _walk(self, value: int, visited: set[int]) -> Iterator[Stored]:
        """The stored tensors in a constant value, without those that were visited before."""
        stack = [value]
        while stack:
            value = stack.pop()
            if value in visited:
                continue
            visited.add(value)
            node = self._graph.maker(value)
            if value in self._graph.stored_values:
                yield self._graph.stored_values[value]
            elif node is not None and self._graph.ops[node] in OPERATIONS:
                stack.extend(self._graph.reads(node))
