"""Formats in protobuf, which have no magic bytes: told apart by the numbers of their first fields."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ...io import ByteSource
from ._kind import Kind

MAX_FIELDS = 64
"""Fields at the top of a file that are looked at."""

_LONGEST = 20
_VARINT, _SPAN = 0, 2
_WIDTHS = {1: 8, 5: 4}
_SHOWN = 200

_COREML = Kind("a Core ML model", "give the model that it was converted from")
_CNTK = Kind("a CNTK 2 model", "load it with CNTK and save it as ONNX")
_CAFFE = Kind(
    "a Caffe model of the first schema", "bring it up to date with upgrade_net_proto_binary"
)
_CAFFE2 = Kind("a Caffe2 network", "give the torch or ONNX model that it was made from")
_MINDSPORE = Kind("a MindSpore checkpoint", "load it with MindSpore and save its arrays as .npz")
_PADDLE = Kind(
    "the program of a Paddle model",
    "paddle2onnx --model_dir . --model_filename net.pdmodel --params_filename net.pdiparams "
    "--save_file net.onnx",
    weights=False,
)
_CNTK_KEYS = {b"uid", b"type", b"version", b"name", b"inputs", b"root_uid", b"primitive_functions"}


class _Field(NamedTuple):
    """One field: its number, the value of a number, the beginning of a message or text."""

    number: int
    value: int
    data: bytes = b""


def by_fields(source: ByteSource) -> Kind | None:
    """The kind of a protobuf file whose fields are those of a format; None for any other file."""
    fields = list(_fields(source))
    if not fields or None in fields:
        return None
    fields = [field for field in fields if field is not None]
    numbers, first = {field.number for field in fields}, fields[0]
    if first.number == 1 and not first.data:
        return _versioned(numbers, first, fields)
    if first.number != 1:
        return None
    return _listed(numbers, first, fields)


def _versioned(numbers: set[int], first: _Field, fields: list[_Field]) -> Kind | None:
    if any(number >= 200 for number in numbers) and numbers <= {1, 2, 10, *range(200, 4000)}:
        return _COREML
    if first.value != 1 or numbers != {1, 2}:
        return None
    return _CNTK if _inner(fields[1].data) in _CNTK_KEYS else None


def _listed(numbers: set[int], first: _Field, fields: list[_Field]) -> Kind | None:
    name = _inner(first.data)
    if first.data.startswith(b"\x08\0\x10\xff\xff\xff\xff\x0f"):
        return _PADDLE
    if name and numbers <= {1, 2, 3, 4}:
        behind = first.data[2 + len(name) :]
        if behind[:1] == b"\x12" and re.search(rb"(Float|Int|UInt|BFloat)\d+", behind):
            return _MINDSPORE
    is_name = bool(first.data) and first.data.isascii() and first.data.decode().isprintable()
    if is_name and 2 in numbers and any(b"GivenTensor" in field.data for field in fields):
        return _CAFFE2
    if is_name and numbers & {2, 100} and numbers <= {*range(1, 9), 100}:
        return _CAFFE
    return None


def _inner(data: bytes, tag: bytes = b"\n") -> bytes | None:
    """The text that a message begins with, if it is printable and short."""
    if data[:1] != tag or len(data) < 2 or data[1] > 127:
        return None
    text = data[2 : 2 + data[1]]
    return text if text and text.isascii() and text.decode().isprintable() else None


def _fields(source: ByteSource) -> Iterator[_Field | None]:
    """The first fields of a file; None where it is no protobuf."""
    position = 0
    for _ in range(MAX_FIELDS):
        if position >= source.size:
            return
        head = bytes(source.read(position, position + _LONGEST + _SHOWN))
        key, offset = _varint(head, 0)
        value, offset = _varint(head, offset) if key & 7 in (_VARINT, _SPAN) else (0, offset)
        width = value if key & 7 == _SPAN else _WIDTHS.get(key & 7, 0)
        is_key = key & 7 in (_VARINT, _SPAN, *_WIDTHS) and key >> 3 > 0
        if offset < 0 or not is_key or position + offset + width > source.size:
            yield None
            return
        data = head[offset : offset + min(width, _SHOWN)] if key & 7 == _SPAN else b""
        yield _Field(key >> 3, value, data)
        position += offset + width


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """A number and the offset behind it; an offset of -1 where there is none."""
    value = 0
    for index, byte in enumerate(data[offset : offset + 10] if offset >= 0 else b""):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, offset + index + 1
    return 0, -1
