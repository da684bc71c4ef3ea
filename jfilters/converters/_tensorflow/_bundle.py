"""TensorFlow's checkpoints: a table of tensors, and files of data beside it.

Source: tensorflow/core/protobuf/tensor_bundle.proto and trackable_object_graph.proto, and
tensorflow/core/util/tensor_bundle/tensor_bundle.cc and saved_tensor_slice_util.cc.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from ...errors import CheckpointError
from ...io import (
    Location,
    MemorySource,
    ProtobufFile,
    ProtobufMessage,
    SortedTable,
    base_name,
    is_file,
    open_source,
    signed_varint,
)
from .._dtypes import numeric_dtype
from ._nodes import read_shape
from ._tensor import DTYPES

SUFFIX = ".index"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

MAX_SHARDS = 1 << 16
_CHECKSUM = 4
_AGAIN = "the file is damaged or was cut short: fetch it again"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tensor of a checkpoint: its type and shape, where its data lies, and the slices that it is in.

    A slice is (start, length) along each axis, where a length of -1 is all of it. `checksum` is that of its
    bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    start: int
    size: int
    slices: tuple[tuple[tuple[int, int], ...], ...]
    checksum: bytes = b""


class Bundle:
    """The tensors of the checkpoint whose table lies at `path`. Raises CheckpointError for damage."""

    def __init__(self, path: Location):
        self.path = path
        self.shards = 1
        self._parts: dict[bytes, Entry] = {}
        self.entries: dict[str, Entry] = {}
        self._sizes: dict[int, int] = {}
        for key, value in SortedTable(open_source(path)):
            self._add(key, self._message(value))

    def reader(self, entry: Entry) -> Callable[[], np.ndarray]:
        """The reader of the values of a tensor, whose data is checked to be there."""
        parts = self.parts(entry)
        for part in parts:
            self._check(part)
        if not entry.slices:
            return functools.partial(self._read, entry)
        return functools.partial(self._joined, entry, parts)

    def files(self, entry: Entry) -> tuple[str, ...]:
        """The names of the files that a tensor lies in."""
        return tuple(dict.fromkeys(self._file_name(part.shard) for part in self.parts(entry)))

    def parts(self, entry: Entry) -> list[Entry]:
        """The slices of a partitioned tensor, or the tensor itself."""
        if not entry.slices:
            return [entry]
        keys = [_slice_key(entry.name, extents) for extents in entry.slices]
        if missing := [key for key in keys if key not in self._parts]:
            self._refuse(f"{len(missing)} of {len(keys)} slices are missing", entry.name)
        return [self._parts[key] for key in keys]

    def text(self, entry: Entry) -> bytes:
        """The one text of a tensor of texts, behind its length and a checksum."""
        self._check(entry, sized=False)
        source = open_source(self._file(entry.shard))
        data = bytes(source.read(entry.start, entry.start + entry.size))
        length = at = 0
        for at, byte in enumerate(data[:10]):
            length |= (byte & 0x7F) << (7 * at)
            if byte < 0x80:
                break
        return data[at + 1 + _CHECKSUM :][:length]

    def _add(self, key: bytes, message: ProtobufMessage) -> None:
        if not key:
            self._header(message)
        elif key.startswith(b"\0"):
            self._parts[key] = self._entry("a slice", message)
        else:
            name = key.decode("utf-8", "backslashreplace")
            self.entries[name] = self._entry(name, message)

    def _header(self, message: ProtobufMessage) -> None:
        header = {number: value for number, value in message if isinstance(value, int)}
        self.shards = header.get(1, 1)
        if header.get(2, 0):
            self._refuse("its numbers are big-endian, which is not read")
        if not 0 < self.shards <= MAX_SHARDS:
            self._refuse(f"{self.shards} files of data")

    def _entry(self, name: str, message: ProtobufMessage) -> Entry:
        numbers, shape, slices, checksum = {}, (), [], b""
        for number, value in message:
            if isinstance(value, int):
                numbers[number] = value
            elif number == 2:
                shape = read_shape(value)
            elif number == 6:
                checksum = bytes(value.read())
            elif number == 7:
                slices.append(_extents(value))
        if shape is None or min(shape, default=0) < 0:
            self._refuse(f"a tensor of shape {shape}", name)
        dtype = DTYPES.get(numbers.get(1, 0), f"type {numbers.get(1, 0)}")
        shard, start, size = (numbers.get(number, 0) for number in (3, 4, 5))
        return Entry(name, dtype, shape, shard, start, size, tuple(slices), checksum)

    def _message(self, value: bytes) -> ProtobufMessage:
        return ProtobufFile(MemorySource(self.path, memoryview(value))).message()

    def _check(self, entry: Entry, *, sized: bool = True) -> None:
        dtype = numeric_dtype(entry.dtype)
        if sized:
            itemsize = 0 if dtype is None else dtype.itemsize
            if dtype is None or entry.size != math.prod(entry.shape) * itemsize:
                whole = f"{entry.dtype} {entry.shape}"
                self._refuse(f"{entry.size} bytes of {whole}", entry.name)
        if entry.shard not in self._sizes:
            self._sizes[entry.shard] = open_source(self._file(entry.shard)).size
        if (whole := self._sizes[entry.shard]) < entry.start + entry.size:
            span = f"{entry.start}..{entry.start + entry.size}"
            file = self._file_name(entry.shard)
            self._refuse(f"expected bytes {span} of {file}, found only {whole}", entry.name)

    def _read(self, entry: Entry) -> np.ndarray:
        source = open_source(self._file(entry.shard))
        data = source.read(entry.start, entry.start + entry.size)
        return np.frombuffer(data, numeric_dtype(entry.dtype)).reshape(entry.shape)

    def _joined(self, entry: Entry, parts: Sequence[Entry]) -> np.ndarray:
        values = np.empty(entry.shape, numeric_dtype(entry.dtype))
        is_missing = np.ones(entry.shape, bool)
        for extents, part in zip(entry.slices, parts, strict=True):
            place = tuple(_slice(*extent) for extent in extents)
            if values[place].shape != part.shape:
                self._refuse(f"a slice of shape {part.shape} at {extents}", entry.name)
            values[place] = self._read(part)
            is_missing[place] = False
        if is_missing.any():
            self._refuse(f"{is_missing.sum()} values lie in no slice", entry.name)
        return values

    def _file_name(self, shard: int) -> str:
        stem = base_name(self.path).removesuffix(SUFFIX)
        return f"{stem}.data-{shard:05}-of-{self.shards:05}"

    def _file(self, shard: int) -> Location:
        name = self._file_name(shard)
        if shard >= self.shards or not is_file(self.path.parent / name):
            remedy = "fetch all files of the checkpoint into one folder"
            reason = f"its data lies in {name}, which is missing"
            raise CheckpointError(reason, path=self.path, remedy=remedy)
        return self.path.parent / name

    def _refuse(self, reason: str, tensor: str | None = None) -> NoReturn:
        raise CheckpointError(reason, path=self.path, tensor=tensor, remedy=_AGAIN)


def _extents(message: ProtobufMessage) -> tuple[tuple[int, int], ...]:
    """A TensorSliceProto: start and length along each axis."""
    extents = []
    for number, value in message:
        if number == 1 and not isinstance(value, int):
            fields = {n: signed_varint(v) for n, v in value if isinstance(v, int)}
            extents.append((fields.get(1, 0), fields.get(2, -1)))
    return tuple(extents)


def _slice(start: int, length: int) -> slice:
    return slice(None) if length < 0 else slice(start, start + length)


def _slice_key(name: str, extents: Sequence[tuple[int, int]]) -> bytes:
    """The key of a slice: numbers and text so that their bytes sort as they do."""
    # UTF-8 has no byte 255, which would be marked as well.
    text = name.encode().replace(b"\0", b"\0\xff")
    numbers = (_signed(number) for extent in extents for number in extent)
    return b"\0" + text + b"\0\1" + _unsigned(len(extents)) + b"".join(numbers)


def _unsigned(number: int) -> bytes:
    length = (number.bit_length() + 7) // 8
    return bytes([length]) + number.to_bytes(length, "big")


def _signed(number: int) -> bytes:
    """The first bits count the bytes; those of a negative number are turned over."""
    magnitude = ~number if number < 0 else number
    length = 1
    while magnitude >> (7 * length - 1):
        length += 1
    header = ((1 << length) - 1) << (8 * length - length)
    if length > 8:
        return b""
    return ((number & ((1 << (8 * length)) - 1)) ^ header).to_bytes(length, "big")
