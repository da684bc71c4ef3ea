"""Msgpack as Flax writes it: maps, and arrays as typed bytes that are msgpack themselves."""

import random
import struct
from typing import Any

import msgpack

from ._tree import Extension, Pairs, mutate_tree


def mutate_msgpack(data: bytes, rng: random.Random) -> bytes:
    """The bytes of another tree; counts and lengths are those of what follows them."""
    packed = _packed(mutate_tree(_parsed(data), rng))
    if rng.random() < 0.1:
        packed = _with_a_count(packed, rng)
    return packed


def _with_a_count(data: bytes, rng: random.Random) -> bytes:
    """One map, list or text more that claims billions of items."""
    head = rng.choice((b"\xdf", b"\xdd", b"\xdb", b"\xc6", b"\xc9"))
    return data[:-1] + head + struct.pack(">I", rng.choice((1 << 31, (1 << 32) - 1, 1 << 20)))


def _parsed(data: bytes) -> Any:
    def extension(code: int, content: bytes) -> Extension:
        try:
            return Extension(code, _parsed(content))
        except ValueError:
            return Extension(code, content)

    return msgpack.unpackb(
        data,
        object_pairs_hook=lambda pairs: Pairs([list(pair) for pair in pairs]),
        ext_hook=extension,
        strict_map_key=False,
        unicode_errors="surrogateescape",
    )


def _packed(value: Any) -> bytes:
    packer = msgpack.Packer(unicode_errors="surrogateescape")
    if isinstance(value, Pairs):
        entries = b"".join(_packed(key) + _packed(item) for key, item in value)
        return packer.pack_map_header(len(value)) + entries
    if isinstance(value, list):
        return packer.pack_array_header(len(value)) + b"".join(map(_packed, value))
    if isinstance(value, Extension):
        content = value.value if isinstance(value.value, bytes) else _packed(value.value)
        return packer.pack_ext_type(value.code, content)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        value = float(value)
    return packer.pack(value)
