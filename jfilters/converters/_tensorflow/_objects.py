"""The object graph of a checkpoint: every variable by its place in the model, not in an optimizer.

TensorFlow stores a variable under the first path to it, which may lead through the optimizer that trains
it.
Source: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

import dataclasses

from ...io import Location, MemorySource, ProtobufFile, ProtobufMessage
from .._not_weights import path_reason

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
SLOT = "/.OPTIMIZER_SLOT/"

MAX_OBJECTS = 1 << 20
"""Objects of one graph."""

_LONGEST = 512


@dataclasses.dataclass(frozen=True)
class Variable:
    """The place of a variable in the model, and the name that it was made with.

    `place` is empty for one that optimizers alone lead to.
    """

    place: str
    full_name: str


@dataclasses.dataclass(slots=True)
class _Object:
    children: list[tuple[int, str]]
    variables: list[tuple[str, str]]
    slots: list[int]


def variables_of(data: bytes, path: Location) -> dict[str, Variable]:
    """The variables of an object graph, by the keys that they are stored under."""
    message = ProtobufFile(MemorySource(path, memoryview(data))).message()
    objects = [_object(value) for n, value in message if n == 1 and not isinstance(value, int)]
    places = _places(objects)
    slots = {slot for item in objects for slot in item.slots}
    return {
        key: Variable("" if number in slots else places.get(number, ""), full_name)
        for number, item in enumerate(objects)
        for full_name, key in item.variables
    }


def short_name(key: str) -> str:
    """A key without what says that it is the value of a variable."""
    return key.removesuffix(VALUE)


def _places(objects: list[_Object]) -> dict[int, str]:
    """The first path to every object that does not lead through an optimizer, nearest first."""
    places, ready = {0: ""}, [0]
    for number in ready:
        for child, name in objects[number].children if number < len(objects) else ():
            place = f"{places[number]}/{name}".lstrip("/")
            if child not in places and len(place) <= _LONGEST and not path_reason([name.lower()]):
                places[child] = place
                ready.append(child)
    return places


def _object(message: ProtobufMessage) -> _Object:
    item = _Object([], [], [])
    for number, value in message:
        if isinstance(value, int):
            continue
        fields = dict(value)
        if number == 1:
            item.children.append((_number(fields, 1), _text(fields, 2)))
        elif number == 2 and (key := _text(fields, 3)):
            item.variables.append((_text(fields, 2), key))
        elif number == 3:
            item.slots.append(_number(fields, 3))
    return item


def _number(fields: dict[int, "int | ProtobufMessage"], number: int) -> int:
    value = fields.get(number, 0)
    return value if isinstance(value, int) else 0


def _text(fields: dict[int, "int | ProtobufMessage"], number: int) -> str:
    value = fields.get(number)
    return value.text() if isinstance(value, ProtobufMessage) else ""
