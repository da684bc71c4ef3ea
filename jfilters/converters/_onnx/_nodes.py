"""ONNX nodes and their attributes, parsed one at a time from the bytes of a model.

Field numbers are those of the public schema, onnx/onnx.proto.
"""

import dataclasses

from ...io import ProtobufMessage, signed_varint
from ._tensor import FLOAT, INT64, read_numbers

MAX_ITEMS = 1 << 14
"""Inputs, outputs or attributes of one node, or of a whole model."""

_STANDARD_DOMAINS = ("", "ai.onnx")


class _NodeField:
    INPUT, OUTPUT, NAME, OP, ATTRIBUTE, DOMAIN, OVERLOAD = 1, 2, 3, 4, 5, 7, 8


class _AttributeField:
    NAME, REAL, NUMBER, TEXT, INTS, REFERENCE = 1, 2, 3, 4, 8, 21
    TENSOR, GRAPH, GRAPHS, SPARSE = 5, 6, 11, 22


@dataclasses.dataclass
class Node:
    """One NodeProto; `op` is its operator, led by the domain where that is not the standard one."""

    op: str = ""
    name: str = ""
    domain: str = ""
    overload: str = ""
    inputs: list[str] = dataclasses.field(default_factory=list)
    outputs: list[str] = dataclasses.field(default_factory=list)
    attributes: list[ProtobufMessage] = dataclasses.field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of a model-local function: domain, name and overload."""
        return self.domain, self.op, self.overload

    @property
    def operator(self) -> str:
        """The operator, led by its domain where that is not the standard one."""
        return self.op if self.domain in _STANDARD_DOMAINS else f"{self.domain}.{self.op}"

    @property
    def label(self) -> str:
        """The name of this node in a message."""
        return self.name or next(iter(self.outputs), "")


@dataclasses.dataclass
class Attribute:
    """One AttributeProto; `reference` names the attribute of a function call that it stands for."""

    message: ProtobufMessage
    name: str = ""
    reference: str = ""
    number: int = 0
    tensor: ProtobufMessage | None = None
    sparse: ProtobufMessage | None = None
    graphs: list[ProtobufMessage] = dataclasses.field(default_factory=list)

    def ints(self) -> list[int]:
        """Its list of integers."""
        tensor = read_numbers(self.message, _AttributeField.INTS, INT64)
        return tensor.value.read().tolist() if tensor.value else []

    def content(self) -> bytes:
        """All of it as it is stored; where that is long, its place in the file instead."""
        size = len(self.message)
        return bytes(self.message.read()) if size <= MAX_ITEMS else self.message.start.to_bytes(8)

    def real(self) -> float | None:
        """Its floating point number, None if it holds none."""
        tensor = read_numbers(self.message, _AttributeField.REAL, FLOAT)
        numbers = tensor.value.read() if tensor.value else ()
        return float(numbers[0]) if len(numbers) == 1 else None

    def text(self) -> str:
        """Its text, empty if it holds none."""
        texts = [f.text() for f in _spans(self.message, _AttributeField.TEXT)]
        return texts[-1] if texts else ""


CONSTANT_NUMBERS = {
    "value_float": (2, FLOAT),
    "value_int": (3, INT64),
    "value_floats": (7, FLOAT),
    "value_ints": (8, INT64),
}
"""Attributes of Constant that hold bare numbers: the field in AttributeProto and the data type."""


def read_node(message: ProtobufMessage) -> Node:
    """One NodeProto; its attributes are not parsed yet."""
    node = Node()
    for number, field in message:
        match number, field:
            case _NodeField.INPUT, ProtobufMessage():
                append(node.inputs, field.text(), message)
            case _NodeField.OUTPUT, ProtobufMessage():
                append(node.outputs, field.text(), message)
            case _NodeField.NAME, ProtobufMessage():
                node.name = field.text()
            case _NodeField.OP, ProtobufMessage():
                node.op = field.text()
            case _NodeField.ATTRIBUTE, ProtobufMessage():
                append(node.attributes, field, message)
            case _NodeField.DOMAIN, ProtobufMessage():
                node.domain = field.text()
            case _NodeField.OVERLOAD, ProtobufMessage():
                node.overload = field.text()
    return node


def read_attribute(message: ProtobufMessage) -> Attribute:
    """One AttributeProto; its tensors and graphs are not parsed yet."""
    attribute = Attribute(message)
    for number, field in message:
        match number, field:
            case _AttributeField.NAME, ProtobufMessage():
                attribute.name = field.text()
            case _AttributeField.NUMBER, int():
                attribute.number = signed_varint(field)
            case _AttributeField.TENSOR, ProtobufMessage():
                attribute.tensor = field
            case _AttributeField.SPARSE, ProtobufMessage():
                attribute.sparse = field
            case ((_AttributeField.GRAPH | _AttributeField.GRAPHS), ProtobufMessage()):
                append(attribute.graphs, field, message)
            case _AttributeField.REFERENCE, ProtobufMessage():
                attribute.reference = field.text()
    return attribute


def read_value_info(message: ProtobufMessage) -> tuple[str, int, tuple[int, ...]]:
    """The name, data type and shape of a ValueInfoProto; 0 and () where they are left open."""
    name, type, shape = "", 0, None
    for number, field in message:
        if number == 1 and isinstance(field, ProtobufMessage):
            name = field.text()
        elif number == 2 and isinstance(field, ProtobufMessage):
            # TypeProto.tensor_type holds elem_type and shape.
            tensor = _spans(field, 1)
            type = next((f for t in tensor for n, f in t if n == 1 and isinstance(f, int)), 0)
            shape = [_size(dim) for t in tensor for s in _spans(t, 2) for dim in _spans(s, 1)]
    return name, type, tuple(shape) if shape and min(shape) >= 0 else ()


def _size(dim: ProtobufMessage) -> int:
    return next((signed_varint(f) for n, f in dim if n == 1 and isinstance(f, int)), -1)


def _spans(message: ProtobufMessage, number: int) -> list[ProtobufMessage]:
    spans = []
    for n, field in message:
        if n == number and isinstance(field, ProtobufMessage):
            append(spans, field, message)
    return spans


def append(items: list, item: object, message: ProtobufMessage) -> None:
    """Add to a list that the bytes of `message` must not make too long."""
    if len(items) >= MAX_ITEMS:
        message.wire.refuse(f"expected at most {MAX_ITEMS} items in a list, found more")
    items.append(item)
