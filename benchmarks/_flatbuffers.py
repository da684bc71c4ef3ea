"""A writer of flatbuffers from plain values, for small models that no framework need be installed for.

A table is a dict from the numbers of its fields to their values: `(layout, number)` for a number as
`struct` packs it, a dict for a table, text, bytes, an array, or a list of these.
"""

import struct

import numpy as np

_BYTES_AHEAD = 16  # as the schema of TensorFlow Lite aligns its buffers


def flatbuffer(root: dict, identifier: bytes) -> bytes:
    """The bytes of a flatbuffer with this root table."""
    data = bytearray(4) + identifier
    _patch(data, 0, _table(data, root))
    return bytes(data)


def _patch(data: bytearray, place: int, target: int) -> None:
    data[place : place + 4] = struct.pack("<I", target - place)


def _align(data: bytearray, size: int, ahead: int = 0) -> None:
    data += bytes(-(len(data) + ahead) % size)


def _table(data: bytearray, fields: dict) -> int:
    count = max(fields, default=-1) + 1
    _align(data, 2)
    vtable, places = len(data), [0] * count
    data += bytes(4 + 2 * count)
    _align(data, 8)
    table = len(data)
    data += struct.pack("<i", table - vtable)
    children = []
    for number, value in fields.items():
        layout, scalar = value if isinstance(value, tuple) else ("<I", 0)
        _align(data, struct.calcsize(layout))
        places[number] = len(data) - table
        if not isinstance(value, tuple):
            children.append((len(data), value))
        data += struct.pack(layout, scalar)
    size = len(data) - table
    data[vtable : vtable + 4 + 2 * count] = struct.pack(
        f"<{count + 2}H", 4 + 2 * count, size, *places
    )
    for place, value in children:
        _patch(data, place, _value(data, value))
    return table


def _value(data: bytearray, value: dict | list | str | bytes | np.ndarray) -> int:
    if isinstance(value, dict):
        return _table(data, value)
    if isinstance(value, list):
        return _vector(data, value)
    if isinstance(value, str):
        value = value.encode()
    array = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value
    _align(data, _BYTES_AHEAD, 4)
    place = len(data)
    data += struct.pack("<I", len(array)) + array.tobytes() + bytes(1)
    return place


def _vector(data: bytearray, values: list) -> int:
    _align(data, 4)
    place = len(data)
    data += struct.pack("<I", len(values)) + bytes(4 * len(values))
    for index, value in enumerate(values):
        _patch(data, place + 4 + 4 * index, _value(data, value))
    return place
