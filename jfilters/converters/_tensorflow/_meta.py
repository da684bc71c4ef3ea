"""The graph that TensorFlow keeps beside a checkpoint, and the keys that its variables are restored from.

Source: tensorflow/core/protobuf/saved_model.proto, meta_graph.proto and saved_object_graph.proto.
"""

from collections.abc import Callable, Iterator, Mapping

from ...io import ProtobufMessage, packed_varints
from ._flat import FlatGraph
from ._nodes import Function, Node, read_graph
from ._operators import CONSTANT, CONVOLUTIONS, TRANSPARENT, VARIABLES
from ._tensor import Tensor

MAX_STEPS = 64
"""Operators between a restored value and the variable that it is given to."""

_INPUT = "(input)"
_SERVES = "serve"


def meta_graph(saved_model: ProtobufMessage) -> ProtobufMessage | None:
    """The graph of a SavedModel that serves; the first one where none says so."""
    graphs = [value for n, value in saved_model if n == 2 and not isinstance(value, int)]
    serving = (graph for graph in graphs if _SERVES in _tags(graph))
    return next(serving, graphs[0] if graphs else None)


def flat_graph(meta: ProtobufMessage) -> FlatGraph:
    """The graph of a MetaGraphDef with its functions written out. Raises TooLarge beyond the limits."""
    parts = {number: value for number, value in meta if not isinstance(value, int)}
    nodes, functions = read_graph(parts[2]) if 2 in parts else ([], {})
    graph = FlatGraph(nodes, functions)
    if 7 in parts and not any(node.op in CONVOLUTIONS for node in graph.nodes):
        # Without a signature nothing in the graph runs the network.
        graph = FlatGraph([*nodes, *_concrete(parts[7], nodes, functions)], functions)
    return graph


def restored_keys(graph: FlatGraph) -> dict[int, str]:
    """For each variable the key that it is restored from, by the number of its node."""
    names: dict[int, list[str]] = {}
    keys: dict[int, str] = {}
    for node in graph.nodes:
        if node.op in ("AssignVariableOp", "Assign") and len(node.feeds) > 1:
            variable = graph.resolved(node.feeds[0])[0]
            source, output = _source(graph, node.feeds[1])
            if graph.nodes[variable].op not in VARIABLES or graph.nodes[source].op != "RestoreV2":
                continue
            if source not in names:
                names[source] = _texts(graph, source)
            if output < len(names[source]):
                keys.setdefault(variable, names[source][output])
    return keys


def _tags(meta: ProtobufMessage) -> list[str]:
    info = next((value for n, value in meta if n == 1 and not isinstance(value, int)), None)
    values = () if info is None else info
    return [value.text() for n, value in values if n == 4 and not isinstance(value, int)]


def _source(graph: FlatGraph, reference: tuple[int, int]) -> tuple[int, int]:
    for _ in range(MAX_STEPS):
        reference = graph.resolved(reference)
        node = graph.nodes[reference[0]]
        if (node.op not in TRANSPARENT and node.op != "Reshape") or not node.feeds:
            break
        reference = node.feeds[0]
    return reference


def _texts(graph: FlatGraph, restore: int) -> list[str]:
    """The names that an operator restores, which are a constant."""
    feeds = graph.nodes[restore].feeds
    constant = graph.nodes[graph.resolved(feeds[1])[0]] if len(feeds) > 1 else None
    if constant is None or constant.op != CONSTANT or constant.record is None:
        return []
    value = constant.record.attribute("value")
    return Tensor(value).texts() if isinstance(value, ProtobufMessage) else []


def _concrete(
    objects: ProtobufMessage, nodes: list[Node], functions: Mapping[str, Callable[[], Function]]
) -> Iterator[Node]:
    """Calls of the functions that a model offers without a signature, with their own variables."""
    names = _variable_nodes(nodes)
    variables, offered = [], []
    for number, value in objects:
        if number == 1 and not isinstance(value, int):
            variables.append(_variable_name(value))
        elif number == 2 and not isinstance(value, int):
            offered.append(value)
    for entry in offered:
        fields = {n: v for n, v in entry if not isinstance(v, int)}
        name = fields[1].text() if 1 in fields else ""
        bound = _bound(fields[2]) if 2 in fields else []
        if name in functions and bound:
            inputs = [
                names.get(variables[i], _INPUT) if i < len(variables) else _INPUT for i in bound
            ]
            own = max(len(functions[name]().arguments) - len(bound), 0)
            images = [Node(f"{name}:{i}", "Placeholder", (), {}, lambda x: x) for i in range(own)]
            yield from images
            call = (*(f"{node.name}" for node in images), *inputs)
            yield Node(f"{name}()", name, call, {}, lambda x: x)


def _bound(function: ProtobufMessage) -> list[int]:
    """The objects that a function has as its last arguments."""
    bound: list[int] = []
    for number, value in function:
        if number == 2:
            packed = not isinstance(value, int)
            bound += packed_varints(value.read()).tolist() if packed else [value]
    return bound


def _variable_nodes(nodes: list[Node]) -> dict[str, str]:
    """The names of the nodes that hold variables, by the names of the variables."""
    names = {}
    for node in nodes:
        if node.op in VARIABLES:
            shared = node.attribute("shared_name")
            text = shared.decode("utf-8", "replace") if isinstance(shared, bytes) else ""
            names.setdefault(text or node.name, node.name)
    return names


def _variable_name(item: ProtobufMessage) -> str:
    """The name of a variable among the objects of a model; empty for any other object."""
    for number, value in item:
        if number == 7 and not isinstance(value, int):
            texts = (v.text() for n, v in value if n == 6 and not isinstance(v, int))
            return next(texts, "")
    return ""
