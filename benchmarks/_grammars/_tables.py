"""Tables of key and value, as TensorFlow keeps the places of its arrays, and the files of OCDBT.

Entries are changed as messages; blocks, the index and the checksums are made anew.
"""

import random
import struct

import pyarrow as pa

from .._tensorflow_files import MAGIC, block
from ._checksums import crc32c, masked_crc32c
from ._protobuf import _varint, is_protobuf, mutate_protobuf, varint

_FOOTER = 48
_OCDBT = (b"\x0c\xdb\x3a\x2a", b"\x0c\xdb\x20\xde", b"\x0c\xdb\x1b\x7e")
_HEAD = 12


def is_table(data: bytes) -> bool:
    """Whether the magic number of a table comes last."""
    return data.endswith(MAGIC)


def mutate_table(data: bytes, rng: random.Random) -> bytes:
    """The table with another entry in its first block, or of another order or number of entries."""
    footer = data[-_FOOTER:]
    at = 0
    for _ in range(2):
        _, at = _varint(footer, at)
    start, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    entries = []
    for _, handle in _entries(data[start : start + size]):
        first, place = _varint(handle, 0)
        length, _ = _varint(handle, place)
        if data[first + length] == 0:  # not compressed
            entries += _entries(data[first : first + length])
    return _table(_changed(entries, rng))


def _changed(entries: list[tuple[bytes, bytes]], rng: random.Random) -> list[tuple[bytes, bytes]]:
    at, kind = rng.randrange(len(entries)), rng.random()
    key, value = entries[at]
    if kind < 0.6 and is_protobuf(value):
        entries[at] = key, mutate_protobuf(value, rng)
    elif kind < 0.7:
        del entries[at]
    elif kind < 0.8:
        entries[at:at] = [(key, value)] * rng.choice((1, 1, 500))
    elif kind < 0.9:
        entries[at] = rng.choice((b"", key + b"/x", b"\xff" * 9, key * 300)), value
    else:
        entries[at] = key, rng.choice(entries)[1]
    return entries if rng.random() < 0.2 else sorted(entries)


def _entries(data: bytes) -> list[tuple[bytes, bytes]]:
    """Keys and values of a block."""
    restarts = struct.unpack("<I", data[-4:])[0]
    entries, key, at = [], b"", 0
    while at < len(data) - 4 * (restarts + 1):
        shared, at = _varint(data, at)
        own, at = _varint(data, at)
        length, at = _varint(data, at)
        key = key[:shared] + data[at : at + own]
        entries.append((key, data[at + own : at + own + length]))
        at += own + length
    return entries


def _table(entries: list[tuple[bytes, bytes]]) -> bytes:
    content = block(entries) + b"\0"
    data = content + struct.pack("<I", masked_crc32c(content))
    handle = varint(0) + varint(len(content) - 1)
    index = block([(b"\xff", handle)]) + b"\0"
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(index) - 1)
    return data + index + struct.pack("<I", masked_crc32c(index)) + footer.ljust(40, b"\0") + MAGIC


def is_ocdbt(data: bytes) -> bool:
    """Whether this is a manifest, or a node, of a database of Orbax."""
    return data[:4] in _OCDBT


def mutate_ocdbt(data: bytes, rng: random.Random) -> bytes:
    """A few other bytes below the compression, or another version, with length and checksum put right."""
    body = data[_HEAD:-4]
    version, at = _varint(body, 0)
    method = body[at]
    content = bytearray(_decompressed(body[at + 1 :]) if method else body[at + 1 :])
    for _ in range(1 + int(rng.expovariate(0.6))):
        place = rng.randrange(len(content))
        content[place] = rng.choice(
            (0, 1, 0x7F, 0x80, 0xFF, content[place] ^ 1 << rng.randrange(8))
        )
    if rng.random() < 0.1:
        version = rng.choice((1, 2, 1 << 40))
    head = data[:4] + struct.pack("<Q", _HEAD + len(varint(version)) + 1 + len(content) + 4)
    written = head + varint(version) + b"\0" + content
    return written + struct.pack("<I", crc32c(written))


def _decompressed(data: bytes) -> bytes:
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
