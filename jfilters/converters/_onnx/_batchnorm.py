"""The BatchNormalization of an ONNX graph that reads the output of each convolution."""

from collections.abc import Mapping

from ...io import Location
from .._norm import Norm
from ._format import read_listing
from ._graph import Graph
from ._normalization import EPSILON
from ._tensor import Tensor

_OPERATOR, _SCALE, _VARIANCE = "BatchNormalization", 1, 4
_SHARED = "its weight serves several convolutions"


def graph_norms(path: Location) -> dict[str, Norm | str]:
    """For every weight of a convolution the norm that reads its output, or why there is none.

    The keys are the names of the arrays. Raises CheckpointError for a damaged file.
    """
    listing = read_listing(path)
    return {
        array.name: _SHARED
        if len(weight.nodes) > 1
        else _norm(listing.graph, weight.node, listing.tensors)
        for array, weight in listing.entries()
        if weight
    }


def _norm(graph: Graph, node: int, tensors: Mapping[int, Tensor]) -> Norm | str:
    outputs = graph.makes(node)[:1]
    readers = graph.readers(outputs[0]) if outputs else []
    norms = [reader for reader in readers if graph.ops[reader] == _OPERATOR]
    if not norms:
        return "no BatchNormalization reads its output"
    if len(readers) > 1:
        return f"its output is read {len(readers)} times, not by a BatchNormalization alone"
    reads = graph.reads(norms[0])
    parameters = [reads[place] if place < len(reads) else 0 for place in (_SCALE, _VARIANCE)]
    if reads[0] != outputs[0] or not all(value in graph.stored_values for value in parameters):
        return "a BatchNormalization whose parameters are not stored"
    gamma, variance = (
        tensors[graph.stored_values[value].message.start].value for value in parameters
    )
    if gamma is None or variance is None or gamma.shape != variance.shape or len(gamma.shape) != 1:
        return "a BatchNormalization whose parameters are not read"
    label = graph.node(norms[0]).label
    return Norm(label, gamma.shape[0], gamma.read, variance.read, _epsilon(graph, norms[0]))


def _epsilon(graph: Graph, node: int) -> float:
    attribute = graph.attributes(node).get("epsilon")
    number = None if attribute is None else attribute.real()
    return EPSILON if number is None else number
