"""An ONNX model as one flat graph of numbered nodes and values, and the questions asked of it.

Nodes are kept as ranges of bytes, so that a million of them fit into memory; what else is to be
known of one is parsed again where it is wanted.
"""

import array
import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from ...io import ProtobufFile, ProtobufMessage
from ._nodes import Attribute, Node, read_attribute, read_node

MAX_NODES = 1 << 20
"""Nodes of a model, with its functions written out at every call."""

MAX_VALUES = 3 << 19
"""Distinct values of a model, written out likewise."""

ABSENT = 0
"""The value that stands for an optional input or output left out."""

JUNCTION = ""
"""The operator of a node that is in no file: it leads what a node reads into the body inside it."""


@dataclasses.dataclass
class Stored:
    """One tensor in the file: the values that it is, and what holds it.

    `field` and `type` are set where it is a bare list of numbers in an attribute; `owner` is the
    operator whose attribute it is, if that is no Constant.
    """

    message: ProtobufMessage
    values: list[int] = dataclasses.field(default_factory=list)
    field: int = 0
    type: int = 0
    owner: str = ""
    is_sparse: bool = False


class Graph:
    """The nodes of a model, of the bodies of If, Loop and Scan, and of functions at every call."""

    def __init__(self, wire: ProtobufFile):
        self.wire = wire
        self.ops: list[str] = []
        self.inputs: dict[int, ProtobufMessage] = {}
        self.outputs: list[int] = []
        self.stored: dict[int, Stored] = {}
        self.stored_values: dict[int, Stored] = {}
        self.environments: list[dict[str, ProtobufMessage]] = [{}]
        self._starts, self._stops = array.array("Q"), array.array("Q")
        self._environment = array.array("I")
        self._reads, self._first_read = array.array("I"), array.array("I", [0])
        self._makes, self._first_made = array.array("I"), array.array("I", [0])
        self._maker = array.array("i", [-1])

    def new_value(self) -> int:
        """The number of a value that nothing makes yet."""
        if len(self._maker) > MAX_VALUES:
            self.wire.refuse(f"expected at most {MAX_VALUES} values in the graph, found more")
        self._maker.append(-1)
        return len(self._maker) - 1

    def add(
        self,
        op: str,
        reads: Iterable[int],
        makes: Sequence[int],
        message: ProtobufMessage | None = None,
        environment: int = 0,
    ) -> None:
        """Append a node, or, without a message, a junction."""
        if len(self.ops) >= MAX_NODES:
            self.wire.refuse(f"expected at most {MAX_NODES} nodes in the graph, found more")
        for value in filter(None, makes):
            if self.is_made(value):
                self.wire.refuse(f"a value of the graph is made twice, the second time by {op}")
            self._maker[value] = len(self.ops)
        self.ops.append(op)
        self._starts.append(message.start if message else 0)
        self._stops.append(message.stop if message else 0)
        self._environment.append(environment)
        self._reads.extend(reads)
        self._makes.extend(makes)
        self._first_read.append(len(self._reads))
        self._first_made.append(len(self._makes))

    def is_made(self, value: int) -> bool:
        """Return whether a node makes a value or a tensor is it."""
        return self._maker[value] >= 0 or value in self.stored_values

    def maker(self, value: int) -> int | None:
        """The node that makes a value."""
        return self._maker[value] if self._maker[value] >= 0 else None

    def reads(self, node: int) -> Sequence[int]:
        """The values that a node reads, by position."""
        return self._reads[self._first_read[node] : self._first_read[node + 1]]

    def makes(self, node: int) -> Sequence[int]:
        """The values that a node makes, by position."""
        return self._makes[self._first_made[node] : self._first_made[node + 1]]

    def readers(self, value: int) -> list[int]:
        """The nodes that read a value, in graph order; one that reads it twice comes twice."""
        order, first = self._by_value
        return self._reader_of_read[order[first[value] : first[value + 1]]].tolist()

    def node(self, node: int) -> Node:
        """Return the record of a node as the file has it."""
        return read_node(ProtobufMessage(self.wire, self._starts[node], self._stops[node]))

    def attributes(self, node: int) -> dict[str, Attribute]:
        """The attributes of a node by name, with those of the function call that they refer to."""
        return resolved(self.node(node), self.environments[self._environment[node]])

    def depths(self) -> list[int]:
        """The longest path, in nodes, from any input of the model to each node; -1 without one.

        Raises CheckpointError if the graph has a cycle.
        """
        # Kahn's order: a node is done when all that it reads is.
        depth, waiting = self._starting_depths(), self._unmade_reads()
        ready = [node for node, count in enumerate(waiting) if count == 0]
        for node in ready:
            if depth[node] >= 0 and self.ops[node] != JUNCTION:
                depth[node] += 1
            for reader in self._successors(node):
                depth[reader] = max(depth[reader], depth[node])
                waiting[reader] -= 1
                if waiting[reader] == 0:
                    ready.append(reader)
        self._check_all_done(ready)
        return depth

    def live(self) -> bytearray:
        """For each node 1 if a path leads from it to an output of the model, else 0.

        1 for every node of a model whose outputs no node makes.
        """
        makers = [self.maker(value) for value in self.outputs]
        stack = [node for node in makers if node is not None]
        if not stack:
            return bytearray(b"\1") * len(self.ops)
        live = bytearray(len(self.ops))
        while stack:
            node = stack.pop()
            if not live[node]:
                live[node] = 1
                makers = map(self.maker, self.reads(node))
                stack.extend(maker for maker in makers if maker is not None)
        return live

    def _successors(self, node: int) -> Iterable[int]:
        for value in filter(None, self.makes(node)):
            yield from self.readers(value)

    def _starting_depths(self) -> list[int]:
        depth = [-1] * len(self.ops)
        for value in self.inputs:
            for reader in self.readers(value):
                depth[reader] = 0
        return depth

    def _unmade_reads(self) -> list[int]:
        """Count, for each node, the values it reads that another node makes."""
        is_computed = (
            np.frombuffer(self._maker, np.int32)[np.frombuffer(self._reads, np.uint32)] >= 0
        )
        return np.bincount(self._reader_of_read[is_computed], minlength=len(self.ops)).tolist()

    def _check_all_done(self, done: list[int]) -> None:
        if len(done) == len(self.ops):
            return
        waiting = set(range(len(self.ops))).difference(done)
        label = next((self.node(node).label for node in sorted(waiting) if self.ops[node]), "")
        self.wire.refuse(
            f"the graph has a cycle: {len(waiting)} nodes wait for each other, among them {label!r}"
        )

    @functools.cached_property
    def _reader_of_read(self) -> np.ndarray:
        counts = np.diff(np.frombuffer(self._first_read, np.uint32))
        return np.repeat(np.arange(len(self.ops), dtype=np.uint32), counts)

    @functools.cached_property
    def _by_value(self) -> tuple[np.ndarray, np.ndarray]:
        """The reads in the order of their values, and where those of every value begin."""
        reads = np.frombuffer(self._reads, np.uint32)
        counts = np.bincount(reads, minlength=len(self._maker))
        first = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return np.argsort(reads, kind="stable"), first


def resolved(node: Node, environment: dict[str, ProtobufMessage]) -> dict[str, Attribute]:
    """The attributes of a node by name; `environment` are those of the function call around it."""
    attributes = {}
    for message in node.attributes:
        attribute = read_attribute(message)
        name, reference = attribute.name, attribute.reference
        if not reference:
            attributes[name] = attribute
        elif reference in environment:
            attributes[name] = dataclasses.replace(
                read_attribute(environment[reference]), name=name
            )
    return attributes
