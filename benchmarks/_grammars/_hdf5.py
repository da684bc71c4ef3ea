"""HDF5 files: fields of superblock, headers, messages, trees and heaps, with checksums put right.

Source: HDF5 file format specification 3.0.
"""

import random
import struct
from collections.abc import Iterator

from ._checksums import lookup3

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BLOCKS = (b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD", b"BTLF")
_KINDS = tuple(range(0x19))
_INTEGERS = (
    0,
    1,
    2,
    8,
    255,
    65535,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    1 << 63,
    (1 << 64) - 1,
)


def is_hdf5(data: bytes) -> bool:
    """Whether the file starts as HDF5 does."""
    return data.startswith(SIGNATURE)


def mutate_hdf5(data: bytes, rng: random.Random) -> bytes:
    """The file with one to a few fields changed."""
    content = bytearray(data)
    messages, blocks = list(_messages(data)), list(_found(data))
    for _ in range(1 + int(rng.expovariate(0.7))):
        if messages and rng.random() < 0.7:
            _change_message(content, rng.choice(messages), [at for at, _ in messages] + blocks, rng)
        else:
            _change_field(content, rng.choice([0, *blocks]), blocks, rng)
    _restore_checksums(content)
    return bytes(content)


def _found(data: bytes) -> Iterator[int]:
    """The places of blocks with a signature."""
    for signature in _BLOCKS:
        at = data.find(signature)
        while at >= 0:
            yield at
            at = data.find(signature, at + 4)


def _messages(data: bytes) -> Iterator[tuple[int, int]]:
    """The places and sizes of what looks like a message of an object's first header version."""
    at = 0
    while at + 8 <= len(data):
        kind, size, flags, zeros = struct.unpack_from("<HHB3s", data, at)
        is_header = kind < 0x19 and flags < 64 and zeros == b"\0\0\0" and (kind, flags) != (0, 0)
        if is_header and 0 < size <= 2048 and not size % 8 and at + 8 + size <= len(data):
            yield at, size
        at += 8


def _change_message(
    data: bytearray, message: tuple[int, int], places: list[int], rng: random.Random
) -> None:
    """Its kind, its size, or a field of it: a dimension, an address, the class of a type, a filter."""
    at, size = message
    kind = rng.random()
    if kind < 0.1:
        data[at : at + 2] = struct.pack("<H", rng.choice(_KINDS))
    elif kind < 0.2:
        data[at + 2 : at + 4] = struct.pack(
            "<H", rng.choice((0, size - 8, size + 8, 65528)) & 0xFFFF
        )
    elif kind < 0.45:
        data[at + 8 + rng.randrange(min(size, 16))] = rng.choice(
            (0, 1, 2, 3, 4, 9, 255, rng.randrange(256))
        )
    else:
        width = rng.choice((2, 4, 8, 8))
        start = at + 8 + width * rng.randrange(max(1, size // width))
        value: int = rng.choice((*_INTEGERS, *places[:4], rng.choice(places)))
        data[start : start + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def _change_field(data: bytearray, block: int, places: list[int], rng: random.Random) -> None:
    width = rng.choice((1, 2, 4, 8, 8))
    start = block + width * rng.randrange(1, 64 // width)
    value: int = rng.choice((*_INTEGERS, *[rng.choice(places or [0])] * 6))
    data[start : start + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def _restore_checksums(data: bytearray) -> None:
    """Those of a later superblock, and of the headers of later versions."""
    if data[8] in (2, 3):
        data[44:48] = lookup3(bytes(data[:44])).to_bytes(4, "little")
    at = data.find(b"OHDR")
    while at >= 0 and at + 12 < len(data):
        flags = data[at + 5]
        head = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        stop = head + width + int.from_bytes(data[head : head + width], "little")
        if stop + 4 <= len(data):
            data[stop : stop + 4] = lookup3(bytes(data[at:stop])).to_bytes(4, "little")
        at = data.find(b"OHDR", at + 4)
