"""Arrays of NumPy one after another, as .npy files and the leaves of Equinox are."""

import ast
import math
import random
import struct
from typing import Any

import numpy as np

from ._tree import Pairs, mutate_tree

_MAGIC = b"\x93NUMPY"
_DESCRIPTIONS = (
    "<f4",
    ">f4",
    "|O",
    "<f2",
    "<f8",
    "|i1",
    "<i8",
    "|V4",
    "<U4",
    "<c8",
    "|b1",
    "<M8[s]",
)


def is_npy(data: bytes) -> bool:
    """Whether an array starts here, or behind a line of JSON."""
    return _MAGIC in data[:200]


def mutate_npy(data: bytes, rng: random.Random) -> bytes:
    """The arrays with another header, in another order, or with another number of them."""
    start = data.index(_MAGIC)
    arrays = _split(data[start:])
    at = rng.randrange(len(arrays))
    kind = rng.random()
    if kind < 0.15:
        del arrays[at]
    elif kind < 0.3:
        arrays[at:at] = arrays[at : at + 1] * rng.choice((1, 1, 50))
    elif kind < 0.4:
        rng.shuffle(arrays)
    else:
        arrays[at] = _with_header(*arrays[at], rng)
    return data[:start] + b"".join(head + values for head, values in arrays)


def _split(data: bytes) -> list[tuple[bytes, bytes]]:
    """Header and values of every array."""
    arrays, at = [], 0
    while data[at : at + 6] == _MAGIC:
        begin, size = _layout(data[at:])
        header = ast.literal_eval(data[at + begin : at + begin + size].decode())
        stop = at + begin + size
        n = math.prod(header["shape"]) * np.dtype(header["descr"]).itemsize
        arrays.append((data[at:stop], data[stop : stop + n]))
        at = stop + n
    return arrays


def _layout(data: bytes) -> tuple[int, int]:
    if data[6] == 1:
        return 10, struct.unpack_from("<H", data, 8)[0]
    return 12, struct.unpack_from("<I", data, 8)[0]


def _with_header(head: bytes, values: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    header = ast.literal_eval(head[_layout(head)[0] :].decode())
    if rng.random() < 0.3:
        header["descr"] = rng.choice(_DESCRIPTIONS)
        pairs = header
    else:
        items = [[key, list(v) if isinstance(v, tuple) else v] for key, v in header.items()]
        pairs = mutate_tree(Pairs(items), rng)
    text = (_written(pairs) + "\n").encode("latin-1", "replace")
    version = rng.choice((1, 1, 1, 2, 3, 9))
    length = struct.pack("<H", len(text) & 0xFFFF) if version == 1 else struct.pack("<I", len(text))
    return _MAGIC + bytes([version, 0]) + length + text, values


def _written(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{_written(k)}: {_written(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "(" + "".join(f"{_written(item)}, " for item in value) + ")"
    return repr(value)
