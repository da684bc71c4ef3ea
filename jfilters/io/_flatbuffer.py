"""Flatbuffers, walked lazily: a table is a position in the file, and its fields are read one by one.

A table starts with the offset of its vtable, which holds the place of every field. All offsets are checked
against the file, and the tables, numbers and texts that one walk may visit are counted: a file may let a
million offsets lead to one table. Source: flatbuffers.dev/internals.
"""

import struct
from typing import NoReturn

import numpy as np

from ..errors import CheckpointError
from ._budget import budget
from ._source import ByteSource, window

MAX_TABLES = 1 << 20
"""Tables that one walk may visit; the largest models have about a hundred thousand."""

MAX_NUMBERS = 1 << 24
"""Numbers in vectors that one walk may read."""

MAX_NAME, MAX_TEXT = 1 << 12, 1 << 26
"""Bytes of one text, and of all texts that one walk may read."""

_BLOCKS = 64
_LARGEST_VTABLE = 1 << 10
_WIDTH = 4
_TABLE_BYTES, _FIELD_BYTES = 150, 36


class Flatbuffer:
    """A file with a flatbuffer, and how much more of it one walk may visit."""

    def __init__(self, source: ByteSource):
        self.source = source
        self._window = max(window(source), 1 << 12)
        self._blocks: dict[int, memoryview] = {}
        self._budget = budget(source.path)
        self._tables, self._numbers, self._text = MAX_TABLES, MAX_NUMBERS, MAX_TEXT

    def root(self) -> "FlatTable":
        """The table that the file starts with."""
        return FlatTable(self, self.follow(0))

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """The bytes start..stop; short ranges come from blocks that are remembered."""
        if start < 0 or stop > self.source.size:
            self.refuse(f"expected bytes {start}..{stop}, found only {self.source.size}")
        first, last = start // self._window, max(stop - 1, start) // self._window
        if last - first > 1:
            return self.source.read(start, stop)
        base = first * self._window
        data = b"".join(self._block(index) for index in range(first, last + 1))
        return data[start - base : stop - base]

    def number(self, position: int, layout: str) -> int | float:
        """The number at a position, by a layout of `struct`."""
        return struct.unpack(layout, self.read(position, position + struct.calcsize(layout)))[0]

    def follow(self, position: int) -> int:
        """The position that the offset stored at a position leads to."""
        offset = int(self.number(position, "<I"))
        if not 0 < offset <= self.source.size - position - _WIDTH:
            self.refuse(f"damaged flatbuffer: an offset of {offset} at byte {position}")
        return position + offset

    def span(self, position: int, itemsize: int) -> tuple[int, int]:
        """The bytes start..stop of the vector at a position; they are checked to lie in the file."""
        count = int(self.number(position, "<I"))
        start = position + _WIDTH
        if count * itemsize > self.source.size - start:
            self.refuse(f"damaged flatbuffer: {count} items at byte {position}")
        return start, start + count * itemsize

    def count(self, tables: int = 0, numbers: int = 0, text: int = 0) -> None:
        """Count what a walk visits; refuses the file beyond the limits."""
        self._tables -= tables
        self._numbers -= numbers
        self._text -= text
        self._budget.take(memory=text, elements=tables)
        if min(self._tables, self._numbers, self._text) < 0 or text > MAX_NAME:
            limits = f"{MAX_TABLES} tables, {MAX_NUMBERS} numbers and names of {MAX_NAME} bytes"
            self.refuse(f"more than {limits}")

    def draw(self, memory: int) -> None:
        """Draw the memory of what a walk builds."""
        self._budget.take(memory=memory)

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error that names the file."""
        raise CheckpointError(reason, path=self.source.path)

    def _block(self, index: int) -> memoryview:
        block = self._blocks.get(index)
        if block is None:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.pop(next(iter(self._blocks)))
            start = index * self._window
            block = self.source.read(start, start + self._window)
            self._blocks[index] = block
        return block


class FlatTable:
    """A table of a flatbuffer, whose fields are known by their numbers in the schema."""

    __slots__ = ("_fields", "file", "position")

    def __init__(self, file: Flatbuffer, position: int):
        self.file, self.position = file, position
        file.count(tables=1)
        vtable = position - int(file.number(position, "<i"))
        size = int(file.number(vtable, "<H"))
        if size < _WIDTH or size % 2 or size > _LARGEST_VTABLE:
            file.refuse(f"damaged flatbuffer: a vtable of {size} bytes at byte {vtable}")
        file.draw(_TABLE_BYTES + _FIELD_BYTES * (size // 2 - 2))
        self._fields = struct.unpack(
            f"<{size // 2 - 2}H", file.read(vtable + _WIDTH, vtable + size)
        )

    def place(self, field: int) -> int | None:
        """The position of a field; None where it has its default."""
        offset = self._fields[field] if field < len(self._fields) else 0
        return self.position + offset if offset else None

    def number(self, field: int, layout: str, default: int = 0) -> int:
        """A whole number, by a layout of `struct`."""
        place = self.place(field)
        return default if place is None else int(self.file.number(place, layout))

    def table(self, field: int) -> "FlatTable | None":
        """A table inside."""
        place = self.place(field)
        return None if place is None else FlatTable(self.file, self.file.follow(place))

    def span(self, field: int, itemsize: int = 1) -> tuple[int, int] | None:
        """The bytes start..stop of a vector, which are not read; None without one."""
        place = self.place(field)
        return None if place is None else self.file.span(self.file.follow(place), itemsize)

    def numbers(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers of a NumPy dtype; empty without one."""
        span = self.span(field, np.dtype(dtype).itemsize)
        if span is None:
            return np.empty(0, dtype)
        self.file.count(numbers=(span[1] - span[0]) // np.dtype(dtype).itemsize)
        return np.frombuffer(self.file.read(*span), dtype)

    def tables(self, field: int) -> "list[FlatTable]":
        """A vector of tables; empty without one."""
        span = self.span(field, _WIDTH)
        if span is None:
            return []
        self.file.count(tables=(span[1] - span[0]) // _WIDTH)
        places = range(*span, _WIDTH)
        return [FlatTable(self.file, self.file.follow(place)) for place in places]

    def text(self, field: int) -> str:
        """A text; empty without one."""
        span = self.span(field)
        if span is None:
            return ""
        self.file.count(text=span[1] - span[0])
        return bytes(self.file.read(*span)).decode("utf-8", "backslashreplace")
