"""The nodes of a TensorFlow graph and of its functions, from protobuf, none of whose tensors is read.

Source: tensorflow/core/framework/graph.proto, node_def.proto, attr_value.proto and function.proto.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...io import ProtobufMessage, signed_varint

MAX_RANK = 16
"""Axes of a tensor."""

_CALLED = ("f", "then_branch", "else_branch", "cond", "body")
_OPERATOR = re.compile(r"[A-Za-z_][\w>]*")


@dataclasses.dataclass(frozen=True, slots=True)
class Called:
    """A function that an attribute names."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A node: its name, operator and inputs as the file spells them, and its attributes as stored."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    decode: Callable[[Any], Any]

    def attribute(self, name: str) -> Any:
        """An attribute: a number, bytes, a shape, a list, `Called` or a tensor; None without one."""
        stored = self.attributes.get(name)
        return None if stored is None else self.decode(stored)

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions that the node runs."""
        values = (self.attribute(name) for name in _CALLED if name in self.attributes)
        return tuple(value.name for value in values if isinstance(value, Called))


@dataclasses.dataclass(frozen=True)
class Function:
    """A function: the names of its arguments, the values that it gives back, and its nodes."""

    arguments: tuple[str, ...]
    results: tuple[str, ...]
    nodes: tuple[Node, ...]


def read_graph(message: ProtobufMessage) -> tuple[list[Node], dict[str, Callable[[], Function]]]:
    """The nodes of a GraphDef, and the readers of its functions by name."""
    nodes: list[Node] = []
    functions: dict[str, Callable[[], Function]] = {}
    for number, value in message:
        if isinstance(value, int):
            continue
        if number == 1:
            nodes.append(read_node(value))
        elif number == 2:
            functions |= dict(_library(value))
    return nodes, functions


def read_node(message: ProtobufMessage) -> Node:
    """The record of a NodeDef."""
    name = op = ""
    inputs: list[str] = []
    attributes: dict[str, ProtobufMessage] = {}
    for number, value in message:
        if isinstance(value, int):
            continue
        if number == 1:
            name = value.text()
        elif number == 2:
            op = value.text()
        elif number == 3:
            inputs.append(value.text())
        elif number == 5:
            attributes |= _entry(value)
    return Node(name, op, tuple(inputs), attributes, decoded)


def is_graph(message: ProtobufMessage) -> bool:
    """Return whether a message begins as a GraphDef: with a node that has a name and an operator.

    A graph that holds functions alone begins with these.
    """
    for number, value in message:
        if isinstance(value, int):
            return False
        if number == 2:
            return any(name for name, _ in _library(value))
        if number != 1:
            return False
        texts = dict(_texts(value))
        return bool(texts.get(1)) and _OPERATOR.fullmatch(texts.get(2, "")) is not None
    return False


def _texts(message: ProtobufMessage) -> Iterator[tuple[int, str]]:
    """The first texts of a node: its name and its operator."""
    for number, value in message:
        if number not in (1, 2) or isinstance(value, int):
            return
        yield number, value.text()


def _entry(message: ProtobufMessage) -> dict[str, ProtobufMessage]:
    """One entry of a map from text to messages."""
    fields = {number: value for number, value in message if not isinstance(value, int)}
    return {fields[1].text(): fields[2]} if {1, 2} <= fields.keys() else {}


def _library(message: ProtobufMessage) -> Iterator[tuple[str, Callable[[], Function]]]:
    for number, value in message:
        if number == 1 and not isinstance(value, int):
            signature = next((v for n, v in value if n == 1 and not isinstance(v, int)), None)
            if signature is not None:
                yield _first_text(signature), _reader(value, signature)


def _reader(message: ProtobufMessage, signature: ProtobufMessage) -> Callable[[], Function]:
    """The reader of a function, which most of a library are never asked for."""

    def read() -> Function:
        nodes, returned = [], {}
        for number, value in message:
            if number == 3 and not isinstance(value, int):
                nodes.append(read_node(value))
            elif number == 4 and not isinstance(value, int):
                returned |= {name: text.text() for name, text in _entry(value).items()}
        arguments = tuple(_first_text(v) for n, v in signature if n == 2 and not isinstance(v, int))
        results = [_first_text(v) for n, v in signature if n == 3 and not isinstance(v, int)]
        return Function(arguments, tuple(returned.get(name, "") for name in results), tuple(nodes))

    return read


def _first_text(message: ProtobufMessage) -> str:
    values = (value for number, value in message if number == 1 and not isinstance(value, int))
    first = next(values, None)
    return "" if first is None else first.text()


def decoded(message: ProtobufMessage) -> Any:
    """The value of an attribute; of a list those of one kind."""
    for number, value in message:
        if isinstance(value, int):
            return signed_varint(value) if number == 3 else value
        if number == 1:
            return _list(value)
        if number == 2:
            return bytes(value.read())
        if number == 7:
            return read_shape(value)
        if number == 10:
            return Called(_first_text(value))
        if number == 8:
            return value
    return None


def _list(message: ProtobufMessage) -> list:
    values = []
    for number, value in message:
        if number == 7 and not isinstance(value, int):
            values.append(read_shape(value))
        elif number == 2 and not isinstance(value, int):
            values.append(bytes(value.read()))
        if len(values) > MAX_RANK:
            break
    return values


def read_shape(message: ProtobufMessage) -> tuple[int, ...] | None:
    """A TensorShapeProto, with -1 for what is open; None where even its rank is."""
    shape: list[int] = []
    for number, value in message:
        if number == 3 and value:
            return None
        if number == 2 and not isinstance(value, int):
            sizes = (v for n, v in value if n == 1 and isinstance(v, int))
            shape.append(signed_varint(next(sizes, 0)))
        if len(shape) > MAX_RANK:
            message.wire.refuse(f"a tensor of more than {MAX_RANK} axes")
    return tuple(shape)
