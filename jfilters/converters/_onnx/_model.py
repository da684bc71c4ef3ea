"""From an ONNX file to its flat graph: names become numbers, bodies and functions are written out.

Field numbers are those of the public schema, onnx/onnx.proto.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence

from ...io import ProtobufFile, ProtobufMessage
from ._graph import ABSENT, JUNCTION, Graph, Stored, resolved
from ._nodes import CONSTANT_NUMBERS, MAX_ITEMS, Attribute, append, read_node

MAX_NESTING = 32
"""Bodies and functions inside each other."""

MAX_TENSORS = 1 << 16
"""Stored tensors of a model."""


class _ModelField:
    VERSION, GRAPH, FUNCTION = 1, 7, 25


_MODEL_NUMBERS, _MODEL_SPANS = {1, 5}, {2, 3, 4, 6, 7, 8, 14, 20, 25, 26}
"""All fields of ModelProto, those that are varints and those that are ranges of bytes."""

_GRAPH_SPANS = {1, 2, 5, 10, 11, 12, 13, 14, 15, 16}
"""All fields of GraphProto."""


class _GraphField:
    NODE, INITIALIZER, INPUT, OUTPUT, SPARSE = 1, 5, 11, 12, 15


class _FunctionField:
    NAME, INPUT, OUTPUT, NODE, DOMAIN, DEFAULT, OVERLOAD = 1, 4, 5, 7, 10, 11, 13


_TENSOR_NAME, _VALUE_NAME, _ATTRIBUTE_NAME, _SPARSE_VALUES = 8, 1, 1, 1


@dataclasses.dataclass
class _Scope:
    """The names of one graph, inside those of the graph around it."""

    parent: "_Scope | None" = None
    environment: int = 0
    level: int = 0
    names: dict[str, int] = dataclasses.field(default_factory=dict)


def is_model(wire: ProtobufFile) -> bool:
    """Return whether a file has the fields of a ModelProto, a version and a graph among them.

    Reads the top level only. Raises CheckpointError if it is not even protobuf.
    """
    graph, has_version = None, False
    for count, (number, field) in enumerate(wire.message()):
        numbers = _MODEL_NUMBERS if isinstance(field, int) else _MODEL_SPANS
        if number not in numbers or count > MAX_ITEMS:
            return False
        has_version |= number == _ModelField.VERSION
        if number == _ModelField.GRAPH:
            graph = field
    return has_version and isinstance(graph, ProtobufMessage) and _begins_as_graph(graph)


def _begins_as_graph(message: ProtobufMessage) -> bool:
    number, field = next(iter(message), (0, 0))
    return number in _GRAPH_SPANS and isinstance(field, ProtobufMessage)


def read_graph(wire: ProtobufFile) -> Graph:
    """The graph of an ONNX model. Raises CheckpointError where the file is damaged or too large."""
    model, graphs, functions = wire.message(), [], []
    for number, field in model:
        if number == _ModelField.GRAPH and isinstance(field, ProtobufMessage):
            append(graphs, field, model)
        elif number == _ModelField.FUNCTION and isinstance(field, ProtobufMessage):
            append(functions, field, model)
    if len(graphs) != 1:
        wire.refuse(f"expected one graph in the model, found {len(graphs)}")
    builder = _Builder(wire, {_function_key(function): function for function in functions})
    builder.add_graph(graphs[0], None, ())
    return builder.graph


class _Builder:
    """The state while a model is written out as a graph."""

    def __init__(
        self, wire: ProtobufFile, functions: Mapping[tuple[str, str, str], ProtobufMessage]
    ):
        self.graph, self._functions = Graph(wire), functions

    def add_graph(
        self, message: ProtobufMessage, parent: _Scope | None, fed: Sequence[int]
    ) -> list[int]:
        """Add one GraphProto, whose owner, if it is a body, reads `fed`; returns its outputs."""
        scope = self._scope(parent)
        if parent:
            self._declare(message, scope)
        inputs, outputs = [], []
        for number, field in message:
            match number, field:
                case _GraphField.NODE, ProtobufMessage():
                    self._add_node(field, scope)
                case ((_GraphField.INITIALIZER | _GraphField.SPARSE), ProtobufMessage()):
                    self._add_initializer(field, number == _GraphField.SPARSE, scope)
                case _GraphField.INPUT, ProtobufMessage():
                    append(inputs, (self._own(_text(field, _VALUE_NAME), scope), field), message)
                case _GraphField.OUTPUT, ProtobufMessage():
                    append(outputs, self._value(_text(field, _VALUE_NAME), scope), message)
        # Old models list their weights as inputs too.
        inputs = {value: info for value, info in inputs if value not in self.graph.stored_values}
        if parent:
            self.graph.add(JUNCTION, fed, list(inputs))
        else:
            self.graph.inputs, self.graph.outputs = inputs, outputs
        return outputs

    def _scope(self, parent: _Scope | None) -> _Scope:
        if parent is None:
            return _Scope()
        self._check_level(parent.level)
        return _Scope(parent, parent.environment, parent.level + 1)

    def _check_level(self, level: int) -> None:
        if level >= MAX_NESTING:
            self.graph.wire.refuse(f"more than {MAX_NESTING} bodies and functions in each other")

    def _declare(self, message: ProtobufMessage, scope: _Scope) -> None:
        """Number all that a body defines, which hides the same names outside of it."""
        for number, field in message:
            match number, field:
                case _GraphField.NODE, ProtobufMessage():
                    for name in read_node(field).outputs:
                        self._own(name, scope)
                case _GraphField.INITIALIZER, ProtobufMessage():
                    self._own(_text(field, _TENSOR_NAME), scope)
                case _GraphField.INPUT, ProtobufMessage():
                    self._own(_text(field, _VALUE_NAME), scope)

    def _own(self, name: str, scope: _Scope) -> int:
        """The value of a name that this scope defines."""
        if not name:
            return ABSENT
        if name not in scope.names:
            scope.names[name] = self.graph.new_value()
        return scope.names[name]

    def _value(self, name: str, scope: _Scope) -> int:
        """The value of a name that this scope or one around it defines."""
        while name not in scope.names and scope.parent:
            scope = scope.parent
        return self._own(name, scope)

    def _add_initializer(self, message: ProtobufMessage, is_sparse: bool, scope: _Scope) -> None:
        if is_sparse:
            self._store_sparse(message)
            return
        name = _text(message, _TENSOR_NAME)
        value = self._own(name, scope)
        if self.graph.is_made(value):
            self.graph.wire.refuse(f"{name!r} is made twice, once as an initializer")
        self._store(Stored(message), value)

    def _add_node(self, message: ProtobufMessage, scope: _Scope) -> None:
        node = read_node(message)
        reads = [self._value(name, scope) for name in node.inputs]
        makes = [self._own(name, scope) for name in node.outputs]
        attributes = resolved(node, self.graph.environments[scope.environment])
        if node.key in self._functions:
            self._call(self._functions[node.key], attributes, reads, makes, scope)
            return
        bodies = [body for attribute in attributes.values() for body in attribute.graphs]
        results = [value for body in bodies for value in self.add_graph(body, scope, reads)]
        operator = sys.intern(node.operator)
        self.graph.add(operator, reads + results, makes, message, scope.environment)
        for attribute in attributes.values():
            self._store_attribute(attribute, operator, makes)

    def _call(
        self,
        function: ProtobufMessage,
        attributes: dict[str, Attribute],
        reads: list[int],
        makes: list[int],
        scope: _Scope,
    ) -> None:
        """Write out a function in place of the node that calls it."""
        self._check_level(scope.level)
        inputs, outputs, environment = _signature(function)
        environment |= {name: attribute.message for name, attribute in attributes.items()}
        append(self.graph.environments, environment, function)
        # A value may have many names; an output that the caller left out is the function's own.
        names = {name: value for name, value in zip(outputs, makes, strict=False) if value}
        names |= dict(zip(inputs, reads, strict=False))
        inner = _Scope(None, len(self.graph.environments) - 1, scope.level + 1, names)
        for number, field in function:
            if number == _FunctionField.NODE and isinstance(field, ProtobufMessage):
                self._add_node(field, inner)

    def _store_attribute(self, attribute: Attribute, operator: str, makes: list[int]) -> None:
        is_constant = operator == "Constant" and bool(makes)
        value, owner = (makes[0], "") if is_constant else (ABSENT, operator)
        if attribute.tensor is not None:
            self._store(Stored(attribute.tensor, owner=owner), value)
        elif attribute.sparse is not None:
            self._store_sparse(attribute.sparse)
        elif is_constant and attribute.name in CONSTANT_NUMBERS:
            field, type = CONSTANT_NUMBERS[attribute.name]
            self._store(Stored(attribute.message, field=field, type=type), value)

    def _store_sparse(self, message: ProtobufMessage) -> None:
        for number, field in message:
            if number == _SPARSE_VALUES and isinstance(field, ProtobufMessage):
                self._store(Stored(field, is_sparse=True), ABSENT)

    def _store(self, stored: Stored, value: int) -> None:
        # A function that is called twice shows the same bytes twice.
        stored = self.graph.stored.setdefault(stored.message.start, stored)
        if len(self.graph.stored) > MAX_TENSORS:
            self.graph.wire.refuse(f"expected at most {MAX_TENSORS} stored tensors, found more")
        if value != ABSENT:
            stored.values.append(value)
            self.graph.stored_values[value] = stored


def _text(message: ProtobufMessage, number: int) -> str:
    """The text in one field of a message; empty if there is none."""
    texts = [f.text() for n, f in message if n == number and isinstance(f, ProtobufMessage)]
    return texts[-1] if texts else ""


def _function_key(function: ProtobufMessage) -> tuple[str, str, str]:
    fields = _FunctionField
    return (
        _text(function, fields.DOMAIN),
        _text(function, fields.NAME),
        _text(function, fields.OVERLOAD),
    )


def _signature(
    function: ProtobufMessage,
) -> tuple[list[str], list[str], dict[str, ProtobufMessage]]:
    """The formal inputs and outputs of a function, and the defaults of its attributes."""
    inputs, outputs, defaults = [], [], {}
    for number, field in function:
        match number, field:
            case _FunctionField.INPUT, ProtobufMessage():
                append(inputs, field.text(), function)
            case _FunctionField.OUTPUT, ProtobufMessage():
                append(outputs, field.text(), function)
            case _FunctionField.DEFAULT, ProtobufMessage():
                defaults[_text(field, _ATTRIBUTE_NAME)] = field
    return inputs, outputs, defaults
