"""Which BatchNormalization of an ONNX graph reads the output of which convolution."""

from collections.abc import Mapping

import numpy as np

from .._bytes import Location, open_source
from .._norm import Norm
from ._external import ExternalFiles
from ._format import FORMAT, read_stored
from ._graph import Graph
from ._model import read_graph
from ._protobuf import Wire
from ._tensor import FLOAT, Tensor, read_numbers
from ._weights import CONVOLUTIONS, Tracer, Untraced

EPSILON = 1e-5
"""Default of the operator. Source: onnx/docs/Operators.md, BatchNormalization."""

_OPERATOR, _SCALE, _VARIANCE = "BatchNormalization", 1, 4
_FLOAT_FIELD = 2  # of AttributeProto
_SHARED = "its weight serves several convolutions"


def graph_norms(path: Location) -> dict[str, Norm | str]:
    """For every stored weight of a convolution the norm that reads its output, or why there is none.

    The keys are the names of the stored arrays. Raises CheckpointError for a damaged file.
    """
    graph = read_graph(Wire(open_source(path)))
    # The arrays of the format are the stored tensors in the order of the file, and what is not stored.
    names = {
        start: array.name
        for start, array in zip(sorted(graph.stored), FORMAT.arrays(path), strict=False)
    }
    files = ExternalFiles(path)
    tensors = {start: read_stored(stored, files) for start, stored in graph.stored.items()}
    tracer = Tracer(graph, tensors)
    found: dict[str, Norm | str] = {}
    for node, op in enumerate(graph.ops):
        if op not in CONVOLUTIONS:
            continue
        try:
            stored, _ = tracer.weight(node)
        except Untraced:
            continue
        name = names[stored.message.start]
        found[name] = _SHARED if name in found else _norm(graph, node, tensors)
    return found


def _norm(graph: Graph, node: int, tensors: Mapping[int, Tensor]) -> Norm | str:
    made = graph.makes(node)[:1]
    readers = graph.readers(made[0]) if made else []
    norms = [reader for reader in readers if graph.ops[reader] == _OPERATOR]
    if not norms:
        return "no BatchNormalization reads its output"
    if len(readers) > 1:
        return f"its output is read {len(readers)} times, not by a BatchNormalization alone"
    reads = graph.reads(norms[0])
    parameters = [reads[place] if place < len(reads) else 0 for place in (_SCALE, _VARIANCE)]
    if reads[0] != made[0] or not all(value in graph.held for value in parameters):
        return "a BatchNormalization whose parameters are not stored"
    gamma, variance = (tensors[graph.held[value].message.start].value for value in parameters)
    if gamma is None or variance is None or gamma.shape != variance.shape or len(gamma.shape) != 1:
        return "a BatchNormalization whose parameters are not read"
    label = graph.node(norms[0]).label
    return Norm(label, gamma.shape[0], gamma.read, variance.read, _epsilon(graph, norms[0]))


def _epsilon(graph: Graph, node: int) -> float:
    attribute = graph.attributes(node).get("epsilon")
    if attribute is None:
        return EPSILON
    tensor = read_numbers(attribute.message, _FLOAT_FIELD, FLOAT)
    values = tensor.value.read() if tensor.value else np.zeros(0)
    return float(values[0]) if len(values) == 1 else EPSILON
