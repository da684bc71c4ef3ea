"""Damage of many kinds to the bytes of a file, in places where it hurts: lengths, counts, whole blocks.

Containers with checksums are also taken apart, and put together again around a damaged member.
"""

import contextlib
import io
import random
import re
import zipfile

LARGEST = 1 << 16
"""Bytes of a damaged file."""

INTEGERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 1 << 20, (1 << 31) - 1, 1 << 31)
LONG_INTEGERS = ((1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_NUMBER = re.compile(rb"\d+")
_HEADER_BYTES = 8


def damaged(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """`data` with a few mutations, and now and then a piece of `other`."""
    if data.startswith(b"PK") and rng.random() < 0.6:
        # What was damaged before may be no zip file any more, and zipfile raises errors of many types.
        with contextlib.suppress(Exception):
            return _repacked(data, other, rng)
    if data[_HEADER_BYTES : _HEADER_BYTES + 1] == b"{" and rng.random() < 0.5:
        return _relabeled(data, other, rng)
    found = bytearray(data)
    for _ in range(1 + int(rng.expovariate(0.6))):
        rng.choice(MUTATIONS)(found, other, rng)
    return bytes(found[:LARGEST])


def _repacked(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A zip file with one damaged member, whose checksum is right again."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w") as new:
        infos = old.infolist()
        if sum(info.file_size for info in infos) > LARGEST:
            raise zipfile.BadZipFile("too large")
        chosen = rng.choice(infos)
        for info in infos:
            content = old.read(info)
            new.writestr(info, damaged(content, other, rng) if info is chosen else content)
    return target.getvalue()


def _relabeled(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A safetensors file with a damaged header, whose length is right again."""
    stop = _HEADER_BYTES + int.from_bytes(data[:_HEADER_BYTES], "little")
    header = damaged(data[_HEADER_BYTES:stop], other, rng)
    return len(header).to_bytes(_HEADER_BYTES, "little") + header + data[stop:]


def _flip_bit(data: bytearray, other: bytes, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, other: bytes, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _set_integer(data: bytearray, other: bytes, rng: random.Random) -> None:
    width, start = rng.choice((1, 2, 4, 8)), rng.randrange(len(data) + 1)
    number = rng.choice(INTEGERS + LONG_INTEGERS) % (1 << 8 * width)
    data[start : start + width] = number.to_bytes(width, rng.choice(("little", "big")))


def _add_to_integer(data: bytearray, other: bytes, rng: random.Random) -> None:
    """A length or an offset that is slightly wrong."""
    width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    start = rng.randrange(len(data) + 1)
    number = int.from_bytes(data[start : start + width], order) + rng.choice((-8, -2, -1, 1, 2, 8))
    data[start : start + width] = (number % (1 << 8 * width)).to_bytes(width, order)


def _set_text_number(data: bytearray, other: bytes, rng: random.Random) -> None:
    """A number in JSON, in a pickle of old, in the header of an array."""
    if found := list(_NUMBER.finditer(data)):
        start, stop = rng.choice(found).span()
        number = rng.choice((*INTEGERS, *LONG_INTEGERS, -1, 10**30, int(data[start:stop][:18]) + 1))
        data[start:stop] = str(number).encode()


def _delete(data: bytearray, other: bytes, rng: random.Random) -> None:
    start, stop = _block(data, rng)
    del data[start:stop]


def _insert(data: bytearray, other: bytes, rng: random.Random) -> None:
    place, size = rng.randrange(len(data) + 1), 1 << rng.randrange(8)
    data[place:place] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))


def _duplicate(data: bytearray, other: bytes, rng: random.Random) -> None:
    start, stop = _block(data, rng)
    data[stop:stop] = data[start:stop] * rng.choice((1, 1, 1, 2, 100))
    del data[LARGEST:]


def _copy(data: bytearray, other: bytes, rng: random.Random) -> None:
    """One block over another: all else stays in its place."""
    start, stop = _block(data, rng)
    place = rng.randrange(len(data) + 1)
    data[place : place + stop - start] = data[start:stop]


def _truncate(data: bytearray, other: bytes, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _splice(data: bytearray, other: bytes, rng: random.Random) -> None:
    """A block of another seed, over what is there or between it."""
    start, stop = _block(other, rng)
    place = rng.randrange(len(data) + 1)
    data[place : place + rng.choice((0, stop - start))] = other[start:stop]


def _block(data: bytes | bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(start + (1 << rng.randrange(10)), len(data))


MUTATIONS = (
    *(_flip_bit, _set_byte, _set_integer, _add_to_integer, _set_text_number),
    *(_delete, _insert, _duplicate, _copy, _truncate, _splice),
)
