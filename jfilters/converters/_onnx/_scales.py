"""The weights of quantized convolutions: integers, and the scale that comes with them or behind them."""

from collections.abc import Sequence

from ._convolutions import Convolution
from ._graph import ABSENT, Graph
from ._quantization import dequantize
from ._step import NotFollowed
from ._tracing import MAX_STEPS, Traced, Tracer, Untraced
from ._value import Value

_TRANSPARENT = ("Cast", "Identity")


def dequantized(tracer: Tracer, node: int, convolution: Convolution, weight: Traced) -> Value:
    """The weight of a quantized convolution in the scale that the network gives it.

    Raises Untraced if its scale or zero point is not stored.
    """
    graph, shape = tracer.graph, weight.value.shape
    try:
        zero = _parameter(tracer, node, convolution.zero)
        if convolution.scale is not None:
            scale = _parameter(tracer, node, convolution.scale)
        else:
            scale = _dynamic_scale(tracer, node)
            scale = scale if scale and scale.shape in ((), (1,), shape[:1]) else None
        value = dequantize(weight.value, scale, zero, 0)
    except NotFollowed as error:
        raise Untraced(f"{graph.ops[node]} with {error}", blamed=[weight.main]) from error
    return tracer.interned((dequantize, *map(tracer.identity, value.inputs)), value)


def input_at(graph: Graph, node: int, position: int | None) -> int:
    """The value at an input of a node, `ABSENT` if it is left out."""
    reads = graph.reads(node)
    return reads[position] if position is not None and position < len(reads) else ABSENT


def _parameter(tracer: Tracer, node: int, position: int | None) -> Value | None:
    value = input_at(tracer.graph, node, position)
    if value == ABSENT:
        return None
    try:
        return tracer.trace(value).value
    except Untraced as error:
        raise NotFollowed("a parameter that is not stored") from error


def _dynamic_scale(tracer: Tracer, node: int) -> Value | None:
    """The weight's scale behind a ConvInteger, where dynamic quantization multiplies with it.

    None without one; a normalized kernel is the same without.
    """
    graph = tracer.graph
    for _ in range(MAX_STEPS):
        outputs = graph.makes(node)[:1]
        readers = graph.readers(outputs[0]) if outputs else []
        if not readers:
            return None
        node = readers[0]
        if graph.ops[node] == "Mul":
            return _constant_factor(tracer, graph.reads(node))
        if graph.ops[node] not in _TRANSPARENT:
            return None
    return None


def _constant_factor(tracer: Tracer, factors: Sequence[int]) -> Value | None:
    """The one constant factor of a product, or of the products that are its factors."""
    graph = tracer.graph
    makers = [graph.maker(value) for value in factors]
    products = [node for node in makers if node is not None and graph.ops[node] == "Mul"]
    inner = [value for node in products for value in graph.reads(node)]
    for value in (*factors, *inner):
        if value != ABSENT and tracer.is_constant(value):
            try:
                return tracer.trace(value).value
            except Untraced:
                return None
    return None
