"""A graph with the functions that it runs written out in their place, as one list of nodes.

A call and an argument stay as nodes of their own, which lead on to what they stand for.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from ._nodes import Function, Node

MAX_NODES = 1 << 18
"""Nodes of a graph with all its functions written out."""

MAX_DEPTH = 32
"""Functions that run each other."""

ARGUMENT, CALL = "(argument)", "(call)"

MISSING = 0
"""The number of the node that stands for one that is not there."""

Reference = tuple[int, int]
"""An output of a node: the number of the node, and which of its outputs."""

_LEADING = {"If": 1, "StatelessIf": 1}
"""Inputs of operators that run functions, and that the functions do not get."""


class TooLarge(Exception):
    """More nodes or deeper calls than are followed."""


@dataclasses.dataclass(slots=True)
class FlatNode:
    """A node with the outputs that it reads; of a call `results` are what its own outputs stand for."""

    op: str
    record: Node | None
    feeds: list[Reference]
    results: list[Reference] = dataclasses.field(default_factory=list)


class FlatGraph:
    """The nodes of a graph and of the functions that it runs. Raises TooLarge beyond the limits."""

    def __init__(self, nodes: Sequence[Node], functions: Mapping[str, Callable[[], Function]]):
        self.nodes = [FlatNode(ARGUMENT, None, [])]
        self._functions = functions
        self._read: dict[str, Function] = {}
        self._calls: list[tuple[int, int]] = []
        self._add(nodes, {}, 0)
        while self._calls:
            self._expand(*self._calls.pop())

    def resolved(self, reference: Reference) -> Reference:
        """The output of a node that an output stands for, behind calls and arguments."""
        for _ in range(4 * MAX_DEPTH):
            number, output = reference
            node = self.nodes[number]
            if node.op == CALL and output < len(node.results):
                reference = node.results[output]
            elif node.op == ARGUMENT and node.feeds:
                reference = node.feeds[0]
            else:
                break
        return reference

    def _add(self, nodes: Sequence[Node], scope: dict[str, int], depth: int) -> dict[str, int]:
        """Add the nodes of one body; `scope` are the numbers of its arguments by name."""
        first = len(self.nodes)
        if first + len(nodes) > MAX_NODES:
            raise TooLarge(f"more than {MAX_NODES} nodes with all functions")
        scope |= {node.name: first + index for index, node in enumerate(nodes)}
        for index, node in enumerate(nodes):
            feeds = _references(node.inputs, scope)
            is_call = node.op in self._functions or any(
                f in self._functions for f in node.functions
            )
            self.nodes.append(FlatNode(CALL if is_call else node.op, node, feeds))
            if is_call:
                self._calls.append((first + index, depth + 1))
        return scope

    def _expand(self, call: int, depth: int) -> None:
        node = self.nodes[call]
        record = node.record
        if depth > MAX_DEPTH or record is None:
            raise TooLarge(f"more than {MAX_DEPTH} functions that run each other")
        feeds = node.feeds[_LEADING.get(record.op, 0) :]
        names = record.functions or (record.op,)
        for name in (name for name in names if name in self._functions):
            results = self._body(name, feeds, depth)
            # Of two branches the first one stands for both.
            node.results = node.results or results

    def _body(self, name: str, feeds: list[Reference], depth: int) -> list[Reference]:
        if name not in self._read:
            self._read[name] = self._functions[name]()
        function = self._read[name]
        scope = {}
        if len(self.nodes) + len(function.arguments) > MAX_NODES:
            raise TooLarge(f"more than {MAX_NODES} nodes with all functions")
        for index, argument in enumerate(function.arguments):
            scope[argument] = len(self.nodes)
            self.nodes.append(FlatNode(ARGUMENT, None, feeds[index : index + 1]))
        scope = self._add(function.nodes, scope, depth)
        return _references(function.results, scope)


def _references(texts: Iterable[str], scope: Mapping[str, int]) -> list[Reference]:
    """The outputs that inputs name: "node", "node:1", or "node:output:1" in a function.

    One that is not there keeps its position; those that only say what runs first are left out.
    """
    references = []
    for text in texts:
        if not text.startswith("^"):
            name, *place = text.split(":")
            output = place[-1] if place else "0"
            is_place = output.isdecimal() and len(output) < 9
            references.append((scope.get(name, MISSING), int(output) if is_place else 0))
    return references


def data_feeds(graph: FlatGraph) -> Iterable[list[int]]:
    """For each node the nodes whose outputs it reads, behind calls; loops are cut where they turn back."""
    for node in graph.nodes:
        feeds = {graph.resolved(reference)[0] for reference in node.feeds}
        if node.op in ("Merge", "RefMerge"):
            feeds = {feed for feed in feeds if graph.nodes[feed].op != "NextIteration"}
        yield sorted(feeds)
