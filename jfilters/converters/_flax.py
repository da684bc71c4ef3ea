"""Flax msgpack files, as `flax.serialization` writes Linen variables, NNX states and train states.

Only the structure is decoded; every array stays a range of the file until it is read.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..errors import CheckpointError
from ..io import (
    ByteSource,
    Cursor,
    Location,
    MsgpackBytes,
    MsgpackDecoder,
    MsgpackExtension,
    open_source,
)
from ._dtypes import numeric_dtype
from ._foreign import by_placeholder, kind_error
from ._format import Format
from ._names import split_params
from ._shards import with_shards
from ._stored import PEEK, StoredArray

# The types that Flax registers with msgpack; 2 is a complex number, which holds no array.
_ARRAYS = (1, 3)
MAX_AXES = 64
"""Axes of an array, as numpy limits them."""

_CHUNKED = "__msgpack_chunked_array__"
_NNX_VALUES = ("value", "raw_value")

_Path = tuple[str, ...]


class _Ranges(NamedTuple):
    """An array whose values lie in one range of the file, or in several one after the other."""

    shape: tuple[int, ...]
    dtype: np.dtype
    spans: tuple[MsgpackBytes, ...]


def _recognizes(path: Location, head: bytes) -> bool:
    # A map whose first key is a short printable string; a pickle, 80 02, is an empty map at most.
    first = head[0] if head else 0
    start = 1 if 0x81 <= first <= 0x8F else {0xDE: 3, 0xDF: 5}.get(first)
    return start is not None and _is_key(head[start:])


def _is_key(data: bytes) -> bool:
    tag, data = data[:1], data[1:]
    if tag == b"\xd9":
        key = data[1 : 1 + data[0]] if data else b""
    else:
        key = data[: tag[0] & 0x1F] if tag and 0xA1 <= tag[0] <= 0xBF else b""
    return bool(key) and key.decode("utf-8", "replace").isprintable()


def _arrays(path: Location) -> Sequence[StoredArray]:
    source = open_source(path)
    cursor = Cursor(source)
    tree = MsgpackDecoder(cursor).value()
    if cursor.position != source.size:
        raise cursor.refusal(f"expected the end of the file, found {source.size} bytes")
    for text in _texts(tree):
        if kind := by_placeholder(text):
            raise kind_error(kind, path)
    return [_stored(source, where, ranges) for where, ranges in _leaves(source, (), tree)]


def _texts(node: Any) -> Iterator[str]:
    """The strings in a tree, which may stand for arrays that lie elsewhere."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _texts(value)


def _leaves(source: ByteSource, where: _Path, node: Any) -> Iterator[tuple[_Path, _Ranges]]:
    """The arrays of a tree with their paths; other values are none of our business."""
    if isinstance(node, MsgpackExtension) and node.code in _ARRAYS:
        yield where, _array(source, where, node)
    elif isinstance(node, dict) and _CHUNKED in node:
        yield where, _joined(source, where, node)
    elif isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from _leaves(source, (*where, str(key)), value)


def _array(source: ByteSource, where: _Path, node: MsgpackExtension) -> _Ranges:
    """An array from its record of shape, dtype name and bytes."""
    cursor = Cursor(source, *node.span)
    match MsgpackDecoder(cursor).value():
        case [list() as shape, str() as name, MsgpackBytes() as span] if (
            cursor.position == node.span.stop
        ):
            return _Ranges(_sizes(source, where, shape), _dtype(source, where, name), (span,))
    _refuse(source, where, "expected a record of shape, dtype and bytes")


def _joined(source: ByteSource, where: _Path, node: dict[str, Any]) -> _Ranges:
    """An array beyond 1 GiB, which Flax writes in flat chunks."""
    shape, chunks = (_ordered(source, where, node.get(key)) for key in ("shape", "chunks"))
    parts = [
        _array(source, where, chunk)
        for chunk in chunks
        if isinstance(chunk, MsgpackExtension) and chunk.code in _ARRAYS
    ]
    if not parts or len(parts) < len(chunks) or len({part.dtype for part in parts}) > 1:
        _refuse(source, where, "expected chunks that are arrays of one dtype")
    spans = tuple(span for part in parts for span in part.spans)
    return _Ranges(_sizes(source, where, shape), parts[0].dtype, spans)


def _ordered(source: ByteSource, where: _Path, node: Any) -> list[Any]:
    """The values of {"0": ..., "1": ...}, which is how Flax writes tuples."""
    if not isinstance(node, dict) or set(node) != {str(i) for i in range(len(node))}:
        _refuse(source, where, "expected all chunks of the array, numbered from 0; one is missing")
    return [node[str(i)] for i in range(len(node))]


def _sizes(source: ByteSource, where: _Path, shape: list[Any]) -> tuple[int, ...]:
    if len(shape) > MAX_AXES or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        numbers = f"at most {MAX_AXES} whole numbers"
        _refuse(source, where, f"expected {numbers} as shape, found {shape[:MAX_AXES]!r:.80}")
    return tuple(shape)


def _dtype(source: ByteSource, where: _Path, name: str) -> np.dtype:
    dtype = numeric_dtype(name)
    if dtype is None:
        _refuse(source, where, f"expected numbers, found the dtype {name!r:.80}")
    return dtype


def _stored(source: ByteSource, where: _Path, ranges: _Ranges) -> StoredArray:
    needed = math.prod(ranges.shape) * ranges.dtype.itemsize
    stored = sum(span.stop - span.start for span in ranges.spans)
    if needed != stored:
        shape = f"{ranges.dtype.name} {ranges.shape}"
        _refuse(source, where, f"expected {needed} bytes for {shape}, found {stored}")

    def read() -> np.ndarray:
        parts = [np.frombuffer(source.read(*span), ranges.dtype) for span in ranges.spans]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(ranges.shape)

    def peek() -> memoryview:
        start, stop = ranges.spans[0]
        return source.read(start, min(stop, start + PEEK))

    network, name = split_params(_named(where))
    axes = "HWIO" if name.split("/")[-1] == "kernel" else None
    return StoredArray(
        name, ranges.shape, ranges.dtype.name, read, axes=axes, network=network, peek=peek
    )


def _named(where: _Path) -> _Path:
    # NNX variables may be written with their value one level down.
    return where[:-1] if len(where) > 1 and where[-1] in _NNX_VALUES else where


def _refuse(source: ByteSource, where: _Path, reason: str) -> NoReturn:
    raise CheckpointError(reason, path=source.path, tensor="/".join(where))


FORMAT = with_shards(
    Format(
        name="flax",
        reads="Flax msgpack files: Linen variables, NNX states, train states",
        suffixes=(".msgpack", ".flax"),
        recognizes=_recognizes,
        arrays=_arrays,
        order="name-order",
    )
)
