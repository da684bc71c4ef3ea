"""The protobuf wire format, walked lazily: a message is a range of bytes, and so are its parts.

Nothing is parsed ahead and nothing large is copied, so a message may be longer than the 2 GiB at
which protobuf's own parsers stop. Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from ..errors import CheckpointError
from ._budget import budget
from ._source import ByteSource, window

MAX_FIELDS = 1 << 24
"""Fields that one walk through a file may visit; a million nodes have about ten million."""

MAX_NAME = 1 << 12
"""Bytes of one name."""

MAX_TEXT = 1 << 27
"""Bytes of all names that one walk through a file may read."""

_STRIDE = 256
_LONGEST_VARINT = 10
_LONGEST_HEAD = 2 * _LONGEST_VARINT
_VARINT, _FIXED64, _SPAN, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


class ProtobufFile:
    """A protobuf file, and how much more of it one walk may visit."""

    def __init__(self, source: ByteSource):
        self.source, self.window = source, window(source)
        self._block: tuple[int, memoryview] = (0, memoryview(b""))
        self._fields, self._text = MAX_FIELDS, MAX_TEXT
        self._budget = budget(source.path)

    def message(self) -> "ProtobufMessage":
        """The whole file as one message."""
        return ProtobufMessage(self, 0, self.source.size)

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop; short ranges come from the block that was fetched last."""
        if stop - start > self.window:
            return self.source.read(start, stop)
        base, block = self._block
        if start < base or stop > base + len(block):
            base, block = start, self.source.read(start, start + self.window)
            self._block = base, block
        return block[start - base : stop - base]

    def count_field(self) -> None:
        """Count one field."""
        self._fields -= 1
        if self._fields % _STRIDE == 0:
            self._budget.take(elements=_STRIDE)
        if self._fields < 0:
            self.refuse(f"expected at most {MAX_FIELDS} protobuf fields, found more")

    def count_text(self, length: int) -> None:
        """Count the bytes of one name."""
        self._text -= length
        self._budget.take(memory=length)
        if length > MAX_NAME or self._text < 0:
            self.refuse(f"expected names of {MAX_NAME} bytes, {MAX_TEXT} in all; found longer ones")

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error that names the file."""
        raise CheckpointError(reason, path=self.source.path)


class ProtobufMessage:
    """The bytes start..stop of a protobuf file: a message, a text, or packed numbers."""

    __slots__ = ("start", "stop", "wire")

    def __init__(self, wire: ProtobufFile, start: int, stop: int):
        self.wire, self.start, self.stop = wire, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[tuple[int, "int | ProtobufMessage"]]:
        """Field numbers and values: an int for a varint, a range of bytes for all else."""
        wire, position, stop = self.wire, self.start, self.stop
        base, end, window = position, position, memoryview(b"")
        while position < stop:
            if end < stop and position + _LONGEST_HEAD > end:
                base, end = position, min(position + self.wire.window, stop)
                window = wire.read(base, end)
            key, offset = self._varint(window, position - base)
            value, offset = self._head(key & 7, window, offset)
            position = base + offset
            if key & 7 != _VARINT:
                value = self._range(position, value)
                position = value.stop
            wire.count_field()
            yield key >> 3, value

    def recounted(self) -> "ProtobufMessage":
        """The same bytes under a fresh count of fields, for reading them later."""
        return ProtobufMessage(ProtobufFile(self.wire.source), self.start, self.stop)

    def read(self) -> memoryview:
        """The bytes themselves."""
        return self.wire.read(self.start, self.stop)

    def text(self) -> str:
        """The bytes as UTF-8."""
        self.wire.count_text(self.stop - self.start)
        try:
            return str(self.wire.read(self.start, self.stop), "utf-8")
        except UnicodeDecodeError as error:
            reason = f"expected UTF-8 text at byte {self.start}"
            raise CheckpointError(reason, path=self.wire.source.path) from error

    def _head(self, kind: int, window: memoryview, offset: int) -> tuple[int, int]:
        """The number that follows a key, which is a value or a length, and the offset behind it."""
        if kind in (_VARINT, _SPAN):
            return self._varint(window, offset)
        if kind not in _WIDTHS:
            self.wire.refuse(f"damaged protobuf: wire type {kind} in bytes {self._place}")
        return _WIDTHS[kind], offset

    def _range(self, start: int, length: int) -> "ProtobufMessage":
        if length > self.stop - start:
            reason = f"expected {length} bytes, found {self.stop - start}"
            self.wire.refuse(f"damaged protobuf at byte {start}: {reason}")
        return ProtobufMessage(self.wire, start, start + length)

    def _varint(self, window: memoryview, offset: int) -> tuple[int, int]:
        # Nearly all numbers take one byte.
        if offset < len(window) and window[offset] < 0x80:
            return window[offset], offset + 1
        value = 0
        for index, byte in enumerate(window[offset : offset + _LONGEST_VARINT]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if value >> 64:
                    break
                return value, offset + index + 1
        self.wire.refuse(f"damaged protobuf: a number without an end in bytes {self._place}")

    @property
    def _place(self) -> str:
        return f"{self.start}..{self.stop}"


def signed_varint(value: int) -> int:
    """A varint of 64 bits as the signed number that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def packed_varints(data: memoryview) -> np.ndarray:
    """Packed varints as int64; raises ValueError if one is cut off or longer than 64 bits."""
    codes = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(codes < 0x80)
    if len(codes) and (not len(ends) or ends[-1] != len(codes) - 1):
        raise ValueError("packed numbers without an end")
    starts = np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max(initial=0) > _LONGEST_VARINT:
        raise ValueError(f"a packed number of {lengths.max()} bytes")
    values = np.zeros(len(ends), np.uint64)
    for index in range(lengths.max(initial=0)):
        longer = lengths > index
        digits = (codes[starts[longer] + index] & np.uint8(0x7F)).astype(np.uint64)
        values[longer] |= digits << np.uint64(7 * index)
    return values.view(np.int64)
