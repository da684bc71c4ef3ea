"""Flatbuffers without their schema: offsets are followed where they can be offsets, and changed."""

import random
import struct
from dataclasses import dataclass, field

MOST_TABLES = 500
SCALARS = (0, 1, -1, 2, 3, 127, 255, 65535, (1 << 31) - 1, -(1 << 31), 4, 8)


@dataclass
class Places:
    """Where the parts of a flatbuffer lie: what an offset points to is a table or a vector."""

    offsets: list[int] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)
    vectors: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    scalars: list[int] = field(default_factory=list)


def is_flatbuffer(data: bytes) -> bool:
    """Whether the file has the identifier of TensorFlow Lite."""
    return data[4:8] == b"TFL3"


def mutate_flatbuffer(data: bytes, rng: random.Random) -> bytes:
    """The same bytes with a few offsets, lengths, slots or numbers changed."""
    content, places = bytearray(data), places_of(data)
    for _ in range(1 + int(rng.expovariate(0.7))):
        rng.choice(MUTATIONS)(content, places, rng)
    return bytes(content)


def places_of(data: bytes) -> Places:
    """All parts that can be reached from the root."""
    places, rest, seen = Places(offsets=[0]), [_word(data, 0)], set[int]()
    while rest and len(seen) < MOST_TABLES:
        table = rest.pop()
        if table in seen or not _is_table(data, table):
            continue
        seen.add(table)
        places.tables.append(table)
        for slot, at in _fields(data, table):
            places.slots.append(slot)
            target = at + _word(data, at)
            if _word(data, at) > 0 and _is_table(data, target):
                places.offsets.append(at)
                rest.append(target)
            elif _word(data, at) > 0 and target + 4 + _word(data, target) <= len(data):
                places.offsets.append(at)
                places.vectors.append(target)
                rest += _elements(data, target, places)
            else:
                places.scalars.append(at)
    return places


def _elements(data: bytes, vector: int, places: Places) -> list[int]:
    """The tables that a vector may hold."""
    starts = [
        vector + 4 + 4 * i for i in range(_word(data, vector)) if vector + 4 * i + 8 <= len(data)
    ]
    tables = [(at, at + _word(data, at)) for at in starts]
    is_list = all(_is_table(data, target) for _, target in tables)
    if not is_list:
        places.scalars += starts[:50]
        return []
    places.offsets += [at for at, _ in tables]
    return [target for _, target in tables]


def _fields(data: bytes, table: int) -> list[tuple[int, int]]:
    """The slot in the vtable and the place of each field."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    slots = [
        (at, struct.unpack_from("<H", data, at)[0]) for at in range(vtable + 4, vtable + size, 2)
    ]
    return [(at, table + step) for at, step in slots if step and table + step + 4 <= len(data)]


def _is_table(data: bytes, at: int) -> bool:
    if at % 4 or not 8 <= at <= len(data) - 4:
        return False
    vtable = at - struct.unpack_from("<i", data, at)[0]
    if not 0 < vtable <= len(data) - 4 or vtable % 2:
        return False
    size, width = struct.unpack_from("<HH", data, vtable)
    return size >= 4 and not size % 2 and vtable + size <= len(data) and 4 <= width < 1 << 10


def _word(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _set_word(data: bytearray, at: int, value: int) -> None:
    data[at : at + 4] = (value & (1 << 32) - 1).to_bytes(4, "little")


def _redirect(data: bytearray, places: Places, rng: random.Random) -> None:
    """An offset to another part: a ring, a shared table, a vector that is read as a table."""
    at = rng.choice(places.offsets)
    _set_word(data, at, rng.choice(places.tables + places.vectors) - at)


def _shift(data: bytearray, places: Places, rng: random.Random) -> None:
    at = rng.choice(places.offsets)
    _set_word(data, at, _word(data, at) + rng.choice((-4, 4, 2, 1, 1 << 20, 1 << 31)))


def _resize(data: bytearray, places: Places, rng: random.Random) -> None:
    if places.vectors:
        at = rng.choice(places.vectors)
        size = _word(data, at)
        _set_word(data, at, rng.choice((0, size - 1, size + 1, 2 * size, 1 << 20, (1 << 32) - 1)))


def _move_slot(data: bytearray, places: Places, rng: random.Random) -> None:
    if places.slots:
        first, second = rng.choice(places.slots), rng.choice(places.slots)
        kept = data[first : first + 2]
        data[first : first + 2] = rng.choice((data[second : second + 2], bytes(2), b"\xff\xff"))
        if rng.random() < 0.5:
            data[second : second + 2] = kept


def _set_scalar(data: bytearray, places: Places, rng: random.Random) -> None:
    if places.scalars:
        at, width = rng.choice(places.scalars), rng.choice((1, 4, 4))
        value = rng.choice(SCALARS) & (1 << 8 * width) - 1
        data[at : at + width] = value.to_bytes(width, "little")


MUTATIONS = (_redirect, _shift, _resize, _move_slot, _set_scalar, _set_scalar, _set_scalar)
