"""The claimed length of a text attribute of an HDF5 file, read from the header of its object.

HDF5 allocates what an attribute claims, up to 4 GiB, before it looks whether the file holds that.
Source: HDF5 file format specification 3.0, sections IV.A.1 (object headers) and IV.A.2.m (attributes).
"""

import struct
from collections.abc import Iterator

from ._source import ByteSource

MAX_BLOCKS = 1000
"""Pieces of one object's header."""

MAX_BLOCK = 1 << 20
"""Bytes of one piece."""

_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_TIMES, _PHASES, _ORDER = 0x20, 0x10, 0x04


def claimed_length(source: ByteSource, base: int, address: int, name: str) -> int | None:
    """The length of the text attribute `name` of the object at `address`; None if it is not there.

    `base` is where the file proper starts. The attribute must be one text of variable length.
    """
    label = name.encode()
    for kind, data in _messages(source, base, address):
        if kind == _ATTRIBUTE and len(data) >= 9:
            attribute, value = _attribute(data)
            if attribute == label and len(value) >= 4:
                return struct.unpack_from("<I", value)[0]
    return None


def _attribute(data: bytes) -> tuple[bytes, bytes]:
    """Name and value of an attribute message."""
    sizes = struct.unpack_from("<HHH", data, 2)
    start = 9 if data[0] == 3 else 8
    # The first version pads name, type and space to 8 bytes each.
    widths = [(size + 7) // 8 * 8 for size in sizes] if data[0] == 1 else sizes
    return data[start : start + sizes[0]].rstrip(b"\0"), data[start + sum(widths) :]


def _messages(source: ByteSource, base: int, address: int) -> Iterator[tuple[int, bytes]]:
    """The messages of an object's header, continued wherever it says so."""
    start = base + address
    head = bytes(source.read(start, start + 64)).ljust(64, b"\0")
    layout, margin, block = _first(head, start)
    blocks = [block]
    for begin, size in blocks:
        data = bytes(source.read(begin, begin + min(size, MAX_BLOCK)))
        for kind, message in _split(data, layout):
            if kind == _CONTINUATION and len(message) >= 16 and len(blocks) < MAX_BLOCKS:
                offset, length = struct.unpack_from("<QQ", message)
                blocks.append((base + offset + margin, max(length - 2 * margin, 0)))
            yield kind, message


def _first(head: bytes, start: int) -> tuple[str, int, tuple[int, int]]:
    """Layout of message headers, bytes around continued blocks, and the first block."""
    if not head.startswith(b"OHDR"):
        return "<HHB3x", 0, (start + 16, struct.unpack_from("<I", head, 8)[0])
    flags = head[5]
    position = 6 + (16 if flags & _TIMES else 0) + (4 if flags & _PHASES else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(head[position : position + width], "little")
    return "<BHB2x" if flags & _ORDER else "<BHB", 4, (start + position + width, size)


def _split(data: bytes, layout: str) -> Iterator[tuple[int, bytes]]:
    position, width = 0, struct.calcsize(layout)
    while position + width <= len(data):
        kind, size, _ = struct.unpack_from(layout, data, position)
        yield kind, data[position + width : position + width + size]
        position += width + size
