"""The topology of a TensorFlow.js model: a graph of TensorFlow, or the configuration of a Keras model."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import CheckpointError
from ...io import Location
from .._hdf5 import _keras_config as keras
from .._tensorflow._nodes import MAX_RANK, Called, Function, Node


def graph_of(
    topology: Any, path: Location
) -> tuple[list[Node], dict[str, Callable[[], Function]]] | None:
    """The nodes of a graph model and its functions; None for any other topology."""
    if not isinstance(topology, dict) or not isinstance(topology.get("node"), list):
        return None
    library = topology.get("library")
    entries = library.get("function", []) if isinstance(library, dict) else []
    functions = [_function(entry, path) for entry in _list(entries)]
    nodes = [_node(entry, path) for entry in topology["node"]]
    return nodes, {name: lambda function=function: function for name, function in functions}


def layers_of(topology: Any, path: Location) -> dict[str, keras.KerasLayer]:
    """The layers of a Keras model by their own names, in their order; none for any other topology."""
    config = topology.get("model_config", topology) if isinstance(topology, dict) else {}
    if isinstance(config, str):
        return keras.by_own_name(keras.configured_layers(config, path))
    return keras.by_own_name(keras.configured_layers(json.dumps(config), path))


def _function(entry: Any, path: Location) -> tuple[str, Function]:
    signature = entry.get("signature") if isinstance(entry, dict) else None
    if not isinstance(signature, dict):
        raise CheckpointError("expected a function with a signature", path=path)
    stored = entry.get("ret")
    returned = stored if isinstance(stored, dict) else {}
    arguments, results = (
        tuple(_text(item, "name") for item in _list(signature.get(key)))
        for key in ("inputArg", "outputArg")
    )
    nodes = tuple(_node(node, path) for node in _list(entry.get("nodeDef")))
    outputs = tuple(str(returned.get(name, "")) for name in results)
    return _text(signature, "name"), Function(arguments, outputs, nodes)


def _node(entry: Any, path: Location) -> Node:
    name, op = _text(entry, "name"), _text(entry, "op")
    if not name or not op:
        raise CheckpointError(f"expected a node of a graph, found {entry!s:.80}", path=path)
    inputs = tuple(text for text in _list(entry.get("input")) if isinstance(text, str))
    attributes = entry.get("attr")
    return Node(name, op, inputs, attributes if isinstance(attributes, dict) else {}, decoded)


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _text(value: Any, key: str) -> str:
    text = value.get(key) if isinstance(value, Mapping) else None
    return text if isinstance(text, str) else ""


def decoded(attribute: Any) -> Any:
    """The value of an attribute, as protobuf spells it in JSON."""
    if not isinstance(attribute, dict):
        return None
    if isinstance(function := attribute.get("func"), dict):
        return Called(_text(function, "name"))
    if isinstance(text := attribute.get("s"), str):
        return _bytes(text)
    return _shape(attribute.get("shape"))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "replace")


def _shape(shape: Any) -> tuple[int, ...] | None:
    if not isinstance(shape, dict) or shape.get("unknownRank"):
        return None
    sizes = [_text_or_number(item) for item in _list(shape.get("dim"))[:MAX_RANK]]
    return tuple(sizes)


def _text_or_number(item: Any) -> int:
    """A size, which JSON has as text; -1 for one that is open."""
    size = item.get("size") if isinstance(item, dict) else None
    text = str(size)
    return int(text) if text.isdecimal() and len(text) < 16 else -1
