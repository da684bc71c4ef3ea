"""ONNX nodes and their attributes, parsed one at a time from the bytes of a model.

Field numbers are those of the public schema, onnx/onnx.proto.
"""

import dataclasses

from ._protobuf import Message, signed
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
    attributes: list[Message] = dataclasses.field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        """What a model-local function is called by."""
        return self.domain, self.op, self.overload

    @property
    def operator(self) -> str:
        """The operator, led by its domain where that is not the standard one."""
        return self.op if self.domain in _STANDARD_DOMAINS else f"{self.domain}.{self.op}"

    @property
    def label(self) -> str:
        """What to call this node in a message."""
        return self.name or next(iter(self.outputs), "")


@dataclasses.dataclass
class Attribute:
    """One AttributeProto; `reference` names the attribute of a function call that it stands for."""

    message: Message
    name: str = ""
    reference: str = ""
    number: int = 0
    tensor: Message | None = None
    sparse: Message | None = None
    graphs: list[Message] = dataclasses.field(default_factory=list)

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


def read_node(message: Message) -> Node:
    """One NodeProto; its attributes are not parsed yet."""
    node = Node()
    for number, field in message:
        match number, field:
            case _NodeField.INPUT, Message():
                append(node.inputs, field.text(), message)
            case _NodeField.OUTPUT, Message():
                append(node.outputs, field.text(), message)
            case _NodeField.NAME, Message():
                node.name = field.text()
            case _NodeField.OP, Message():
                node.op = field.text()
            case _NodeField.ATTRIBUTE, Message():
                append(node.attributes, field, message)
            case _NodeField.DOMAIN, Message():
                node.domain = field.text()
            case _NodeField.OVERLOAD, Message():
                node.overload = field.text()
    return node


def read_attribute(message: Message) -> Attribute:
    """One AttributeProto; its tensors and graphs are not parsed yet."""
    attribute = Attribute(message)
    for number, field in message:
        match number, field:
            case _AttributeField.NAME, Message():
                attribute.name = field.text()
            case _AttributeField.NUMBER, int():
                attribute.number = signed(field)
            case _AttributeField.TENSOR, Message():
                attribute.tensor = field
            case _AttributeField.SPARSE, Message():
                attribute.sparse = field
            case ((_AttributeField.GRAPH | _AttributeField.GRAPHS), Message()):
                append(attribute.graphs, field, message)
            case _AttributeField.REFERENCE, Message():
                attribute.reference = field.text()
    return attribute


def read_value_info(message: Message) -> tuple[str, int, tuple[int, ...]]:
    """The name, data type and shape of a ValueInfoProto; 0 and () where they are left open."""
    name, type, shape = "", 0, None
    for number, field in message:
        if number == 1 and isinstance(field, Message):
            name = field.text()
        elif number == 2 and isinstance(field, Message):
            # TypeProto.tensor_type holds elem_type and shape.
            tensor = _spans(field, 1)
            type = next((f for t in tensor for n, f in t if n == 1 and isinstance(f, int)), 0)
            shape = [_size(dim) for t in tensor for s in _spans(t, 2) for dim in _spans(s, 1)]
    return name, type, tuple(shape) if shape and min(shape) >= 0 else ()


def _size(dim: Message) -> int:
    return next((signed(f) for n, f in dim if n == 1 and isinstance(f, int)), -1)


def _spans(message: Message, number: int) -> list[Message]:
    found = []
    for n, field in message:
        if n == number and isinstance(field, Message):
            append(found, field, message)
    return found


def append(items: list, item: object, message: Message) -> None:
    """Add to a list that the bytes of `message` must not make too long."""
    if len(items) >= MAX_ITEMS:
        message.wire.refuse(f"expected at most {MAX_ITEMS} items in a list, found more")
    items.append(item)
