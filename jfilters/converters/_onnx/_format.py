"""The ONNX format: weights wherever a graph keeps them, and the true depth of every convolution.

jfilters reads the file itself, range by range: it may be longer than protobuf's 2 GiB, no native
parser sees it, and the package onnx is not needed.
"""

import dataclasses
from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from ...errors import CheckpointError
from .._axes import for_rank
from .._bytes import Location, open_source
from .._format import Format
from .._names import Distinct
from .._stored import StoredArray
from ._external import ExternalFiles
from ._graph import JUNCTION, Graph, Stored
from ._model import is_model, read_graph
from ._nodes import read_value_info
from ._operators import OPERATIONS
from ._protobuf import Wire
from ._tensor import DTYPES, Tensor, Value, read_numbers, read_tensor
from ._weights import CONVOLUTIONS, MAX_STEPS, Tracer, Untraced


@dataclasses.dataclass(frozen=True)
class _Use:
    """A convolution that a stored tensor is the weight of, the one closest to the inputs."""

    node: int
    depth: int
    weight: Value


@dataclasses.dataclass
class _Weights:
    """The weights of a graph by where they lie in the file, and why others could not be followed.

    `unstored` are the weights that are inputs of the network.
    """

    uses: dict[int, _Use] = dataclasses.field(default_factory=dict)
    reasons: dict[int, str] = dataclasses.field(default_factory=dict)
    unstored: dict[int, None] = dataclasses.field(default_factory=dict)


def _arrays(path: Location) -> list[StoredArray]:
    graph = read_graph(Wire(open_source(path)))
    files = ExternalFiles(path)
    tensors = {start: read_stored(stored, files) for start, stored in graph.stored.items()}
    weights = _weights(graph, tensors)
    named = Distinct()
    listed = [
        _layer(graph, weights.uses[start], tensors[start], path, named)
        if start in weights.uses
        else _skipped(graph, stored, tensors[start], weights.reasons.get(start), named)
        for start, stored in sorted(graph.stored.items())
    ]
    return listed + [_unstored(graph, value, path, named) for value in weights.unstored]


def read_stored(stored: Stored, files: ExternalFiles) -> Tensor:
    """A stored tensor, wherever and however the model keeps it."""
    if stored.field:
        return read_numbers(stored.message, stored.field, stored.type)
    return read_tensor(stored.message, files)


def _weights(graph: Graph, tensors: Mapping[int, Tensor]) -> _Weights:
    """Every tensor that is the weight of a convolution, once, at its smallest depth."""
    found, depths, tracer = _Weights(), graph.depths(), Tracer(graph, tensors)
    for node, op in enumerate(graph.ops):
        if op not in CONVOLUTIONS:
            continue
        try:
            stored, weight = tracer.weight(node)
        except Untraced as error:
            _note(found, graph, node, error)
            continue
        # Without a path from an input, a convolution comes first.
        use = _Use(node, max(depths[node], 0), weight)
        known = found.uses.setdefault(stored.message.start, use)
        if use.depth < known.depth:
            found.uses[stored.message.start] = use
    return found


def _note(found: _Weights, graph: Graph, node: int, error: Untraced) -> None:
    for stored in error.blamed:
        reason = f"not followed to {graph.ops[node]} {graph.node(node).label}: {error.reason}"
        found.reasons.setdefault(stored.message.start, reason)
    if error.value in graph.inputs:
        found.unstored[error.value] = None


def _layer(graph: Graph, use: _Use, tensor: Tensor, path: Location, named: Distinct) -> StoredArray:
    convolution, weight = CONVOLUTIONS[graph.ops[use.node]], use.weight
    name = tensor.name or graph.node(use.node).label
    group = graph.attributes(use.node).get("group")
    if group and group.number < 1:
        expected = f"expected 1 group or more, found {group.number}"
        raise CheckpointError(expected, path=path, tensor=name)
    return StoredArray(
        named(name),
        weight.shape,
        weight.dtype.name,
        _quietly(weight),
        axes=for_rank(convolution.axes, len(weight.shape)) if 3 <= len(weight.shape) <= 5 else None,
        groups=group.number if group else 1,
        transposed=convolution.transposed,
        depth=use.depth,
        file=tensor.file,
    )


def _quietly(weight: Value):
    def read() -> np.ndarray:
        # What overflows or is no number after a cast is counted downstream.
        with np.errstate(all="ignore"):
            return weight.read()

    return read


def _skipped(
    graph: Graph, stored: Stored, tensor: Tensor, reason: str | None, named: Distinct
) -> StoredArray:
    name = tensor.name or _constant_name(graph, stored)
    reason = reason or _reason(graph, stored, tensor)

    def read() -> np.ndarray:
        if tensor.value is None:
            graph.wire.refuse(f"{tensor.dtype} values are not read")
        return tensor.value.read()

    return StoredArray(
        named(name), tensor.shape, tensor.dtype, read, reason=reason, file=tensor.file
    )


def _reason(graph: Graph, stored: Stored, tensor: Tensor) -> str:
    if stored.is_sparse:
        return "a sparse tensor"
    if stored.owner:
        return f"an attribute of {stored.owner}"
    if tensor.value is None:
        return f"{tensor.dtype} values are not read"
    return _role(graph, stored.values[0]) if stored.values else "used by no node"


def _role(graph: Graph, value: int) -> str:
    """What the first node that computes with a value uses it for."""
    node, value = _computing_reader(graph, value)
    if node is None:
        return "used by no node"
    op, reads = graph.ops[node], graph.reads(node)
    if op not in CONVOLUTIONS:
        return f"used by {op}, not by a convolution"
    role = "bias" if CONVOLUTIONS[op].bias == reads.index(value) else "a parameter"
    return f"{role} of {op} {graph.node(node).label}"


def _computing_reader(graph: Graph, value: int) -> tuple[int | None, int]:
    """The first node that does more than pass a value on, and the value as it reads it."""
    node = None
    for _ in range(MAX_STEPS):
        readers = (reader for reader in graph.readers(value) if graph.ops[reader] != JUNCTION)
        node = next(readers, None)
        if node is None or graph.ops[node] not in OPERATIONS:
            break
        made = graph.makes(node)
        if graph.reads(node)[0] != value or not made:
            break
        value = made[0]
    return node, value


def _constant_name(graph: Graph, stored: Stored) -> str:
    node = graph.maker(stored.values[0]) if stored.values else None
    return stored.owner if node is None else graph.node(node).label


def _unstored(graph: Graph, value: int, path: Location, named: Distinct) -> StoredArray:
    """The weight of a convolution that is given when the network is run."""
    name, type, shape = read_value_info(graph.inputs[value])
    reason = "a graph input without stored values"

    def read() -> NoReturn:
        raise CheckpointError(reason, path=path, tensor=name)

    dtype = DTYPES[type][0].name if type in DTYPES else "unknown"
    return StoredArray(named(name), shape, dtype, read, reason=reason)


def _recognizes(path: Location, head: bytes) -> bool:
    # A model has no magic number; ir_version comes first in every writer known.
    if len(head) < 2 or head[0] != 0x08 or not 1 <= head[1] <= 0x1F:
        return False
    try:
        return is_model(Wire(open_source(path)))
    except CheckpointError:
        return False


FORMAT = Format(
    name="onnx",
    reads="ONNX models, with external data beside them, quantized or not",
    suffixes=(".onnx",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
