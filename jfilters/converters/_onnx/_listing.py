"""The stored arrays of a model: a layer for every weight, and all other tensors with their reasons."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np

from ...errors import CheckpointError
from ...io import Location, checkpoint_errors
from .._axes import for_rank
from .._names import Distinct
from .._stored import StoredArray
from ._convolutions import CONVOLUTIONS, obstacle
from ._graph import ABSENT, JUNCTION, Graph, Stored
from ._nodes import read_value_info
from ._operators import PASSING, applied
from ._quantization import DEQUANTIZES
from ._tensor import DTYPES, Tensor
from ._tracing import MAX_STEPS
from ._value import Value
from ._weights import DEAD, Weight, Weights

Entry = tuple[StoredArray, Weight | None]
"""An array, and the weight that it is unless it is none."""


@dataclasses.dataclass
class Listing:
    """The arrays of one model, whose names are given out one after the other."""

    path: Location
    graph: Graph
    tensors: dict[int, Tensor]
    weights: Weights
    names: Distinct = dataclasses.field(default_factory=Distinct)

    def entries(self) -> Iterator[Entry]:
        """All arrays, in the order of the file, then those that no stored tensor stands for."""
        for place, stored in sorted(self.graph.stored.items()):
            weights = self.weights.read.get(place, [])
            if not any(weight.live for weight in weights) and place in self.weights.reasons:
                weights = []
            if not weights:
                yield self._skipped(stored, self.tensors[place]), None
            for index, weight in enumerate(weights):
                tensor = self.tensors[place]
                yield self._layer(weight, "" if index else tensor.name, tensor.file), weight
        for weight in self.weights.read.get(ABSENT, ()):
            yield self._layer(weight, "", None), weight
        for node, reason in self.weights.missing.items():
            yield self._refused(self.graph.node(node).label, (), "unknown", reason), None
        for value in self.weights.given:
            yield self._given(value), None

    def _layer(self, weight: Weight, name: str, file: str | None) -> StoredArray:
        """A weight, by the name of its tensor or, where that is taken, of its convolution."""
        op, value, graph = self.graph.ops[weight.node], weight.value, self.graph
        convolution = CONVOLUTIONS[op]
        name = name or graph.node(weight.node).label
        group = graph.attributes(weight.node).get("group")
        if group and group.number < 1:
            expected = f"expected 1 group or more, found {group.number}"
            raise CheckpointError(expected, path=self.path, tensor=name)
        rank = len(value.shape)
        return StoredArray(
            self.names(name),
            value.shape,
            value.dtype.name,
            _reader(value, self.path, name),
            axes=for_rank(convolution.axes, rank) if 3 <= rank <= 5 else None,
            groups=group.number if group else 1,
            transposed=convolution.transposed,
            depth=weight.depth,
            reason=None if weight.live else DEAD,
            applied=applied(value),
            note=_note(value),
            file=file,
        )

    def _skipped(self, stored: Stored, tensor: Tensor) -> StoredArray:
        place = stored.message.start
        reason = self.weights.reasons.get(place) or self.weights.parts.get(place)
        reason = reason or _reason(self.graph, stored, tensor)

        def read() -> np.ndarray:
            if tensor.value is None:
                self.graph.wire.refuse(f"{tensor.dtype} values are not read")
            return tensor.value.read()

        return StoredArray(
            self.names(tensor.name or _constant_name(self.graph, stored)),
            tensor.shape,
            tensor.dtype,
            read,
            reason=reason,
            unread=place in self.weights.unread,
            file=tensor.file,
        )

    def _given(self, value: int) -> StoredArray:
        """The weight of a convolution that is given when the network is run."""
        name, type, shape = read_value_info(self.graph.inputs[value])
        dtype = DTYPES[type][0].name if type in DTYPES else "unknown"
        return self._refused(name, shape, dtype, "a graph input without stored values")

    def _refused(self, name: str, shape: tuple[int, ...], dtype: str, reason: str) -> StoredArray:
        """A weight of which nothing is stored."""

        def read() -> NoReturn:
            raise CheckpointError(reason, path=self.path, tensor=name)

        is_kernel = set(shape[2:]) != {1}
        return StoredArray(self.names(name), shape, dtype, read, reason=reason, unread=is_kernel)


def _reader(value: Value, path: Location, name: str) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        with checkpoint_errors(path, name):
            return value.read()

    return read


def _note(value: Value) -> str:
    """The assumption that a weight was read under, if there is one."""
    is_unscaled = value.op == DEQUANTIZES and value.inputs[1] is None
    return "its scale is not stored: in steps of its integers" if is_unscaled else ""


def _reason(graph: Graph, stored: Stored, tensor: Tensor) -> str:
    if stored.is_sparse:
        return "a sparse tensor"
    if stored.owner:
        return f"an attribute of {stored.owner}"
    if tensor.value is None:
        return f"{tensor.dtype} values are not read"
    return _role(graph, stored.values[0]) if stored.values else "used by no node"


def _role(graph: Graph, value: int) -> str:
    """The use that the first node that computes with a value makes of it."""
    node, value = _computing_reader(graph, value)
    if node is None:
        return "used by no node"
    op, reads = graph.ops[node], graph.reads(node)
    if op not in CONVOLUTIONS and obstacle(op) is None:
        return f"used by {op}, not by a convolution"
    is_bias = op in CONVOLUTIONS and CONVOLUTIONS[op].bias == reads.index(value)
    return f"{'bias' if is_bias else 'a parameter'} of {op} {graph.node(node).label}"


def _computing_reader(graph: Graph, value: int) -> tuple[int | None, int]:
    """The first node that does more than pass a value on, and the value as it reads it."""
    node = None
    for _ in range(MAX_STEPS):
        readers = (reader for reader in graph.readers(value) if graph.ops[reader] != JUNCTION)
        node = next(readers, None)
        if node is None or graph.ops[node] not in PASSING:
            break
        outputs = graph.makes(node)
        if graph.reads(node)[0] != value or not outputs:
            break
        value = outputs[0]
    return node, value


def _constant_name(graph: Graph, stored: Stored) -> str:
    node = graph.maker(stored.values[0]) if stored.values else None
    return stored.owner if node is None else graph.node(node).label
