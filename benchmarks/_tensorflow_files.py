"""Checkpoints and graphs of TensorFlow, written field by field as their schemas number them."""

import struct

import numpy as np

MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
TYPES = {"float32": 1, "int32": 3, "string": 7, "int64": 9, "float16": 19}


def varint(value: int) -> bytes:
    """A number in as many bytes as it takes."""
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of the protobuf wire format."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape_of(sizes: tuple[int, ...]) -> bytes:
    """A TensorShapeProto."""
    return b"".join(field(2, field(1, size)) for size in sizes)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block of a table, with keys that share what they begin with, uncompressed."""
    data, before = b"", b""
    for key, value in entries:
        shared = next(
            (i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b), None
        )
        shared = min(len(key), len(before)) if shared is None else shared
        own = key[shared:]
        data += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        before = key
    return data + struct.pack("<II", 0, 1)


def table(entries: list[tuple[bytes, bytes]], compressed: bytes | None = None) -> bytes:
    """A table of one block, which may come compressed by snappy."""
    content = block(sorted(entries)) if compressed is None else compressed
    kind = bytes([compressed is not None])
    data = content + kind + bytes(4)
    handle = varint(0) + varint(len(content))
    index_at, index = len(data), block([(b"\xff", handle)])
    data += index + bytes(5)
    footer = varint(0) + varint(0) + varint(index_at) + varint(len(index))
    return data + footer.ljust(40, b"\0") + MAGIC


def bundle(
    arrays: dict[str, np.ndarray], more: dict[bytes, bytes] | None = None
) -> tuple[bytes, bytes]:
    """The table and the data of a checkpoint."""
    entries, data = [(b"", field(1, 1))], b""
    for name, value in arrays.items():
        stored = value.tobytes()
        entries.append(
            (name.encode(), entry(value.dtype.name, value.shape, len(data), len(stored)))
        )
        data += stored
    return table([*entries, *(more or {}).items()]), data


def entry(dtype: str, shape: tuple[int, ...], start: int, size: int, shard: int = 0) -> bytes:
    """A BundleEntryProto."""
    numbers = ((1, TYPES[dtype]), (3, shard), (4, start), (5, size))
    return b"".join(field(n, v) for n, v in numbers) + field(2, shape_of(shape))


def constant(name: str, value: np.ndarray) -> bytes:
    """A node that holds a tensor."""
    tensor = field(1, TYPES[value.dtype.name]) + field(2, shape_of(value.shape))
    return node(name, "Const", value=field(8, tensor + field(4, value.tobytes())))


def node(name: str, op: str, *inputs: str, **attributes: bytes) -> bytes:
    """A node of a graph, as a field of it."""
    fields = [field(1, name), field(2, op), *(field(3, text) for text in inputs)]
    fields += [field(5, field(1, key) + field(2, value)) for key, value in attributes.items()]
    return field(1, b"".join(fields))


def function(name: str, arguments: list[str], results: dict[str, str], *nodes: bytes) -> bytes:
    """A library of one function, as a field of a graph; `nodes` as `node` gives them."""
    signature = field(1, name) + b"".join(field(2, field(1, text)) for text in arguments)
    signature += b"".join(field(3, field(1, text)) for text in results)
    body = field(1, signature)
    body += b"".join(b"\x1a" + item[1:] for item in nodes)
    body += b"".join(field(4, field(1, key) + field(2, text)) for key, text in results.items())
    return field(2, field(1, body))
