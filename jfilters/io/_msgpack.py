"""msgpack, decoded as far as its structure: long bytes stay ranges of the file, not yet read.

Lengths are claims: nothing is allocated for them before the bytes have come.
"""

import struct
from typing import Any, NamedTuple

from ._budget import budget
from ._cursor import Cursor

MAX_ITEMS = 2_000_000
"""Values in one file, which bounds the memory that its structure takes to about 300 MB."""

_VALUE_BYTES = 150
MAX_TEXT = 1 << 16
"""Bytes of a string that is read; longer ones stay a range."""

_INTEGERS = {
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_FLOATS = {0xCA: ">f", 0xCB: ">d"}
_LENGTHS = {
    0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xC7: ">B", 0xC8: ">H", 0xC9: ">I",
    0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I",
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class MsgpackBytes(NamedTuple):
    """Bytes start..stop of the file."""

    start: int
    stop: int


class MsgpackExtension(NamedTuple):
    """A value of an application's own type, and the bytes that hold it."""

    code: int
    span: MsgpackBytes


class MsgpackDecoder:
    """Values one after the other, from a cursor."""

    def __init__(self, cursor: Cursor):
        self._cursor, self._left = cursor, MAX_ITEMS
        self._budget = budget(cursor.source.path)

    def value(self, nesting: int = 0) -> Any:
        """The next value: None, a number, text, dict, list, `MsgpackBytes` or `MsgpackExtension`."""
        self._left -= 1
        if self._left < 0:
            reason = f"expected msgpack of at most {MAX_ITEMS} values, found more"
            raise self._cursor.refusal(reason)
        self._budget.check_nesting(nesting)
        self._budget.take(memory=_VALUE_BYTES)
        tag = self._cursor.number(">B")
        if tag < 0x80 or tag >= 0xE0:
            return tag if tag < 0x80 else tag - 0x100
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag in _INTEGERS:
            return self._cursor.number(_INTEGERS[tag])
        if tag in _FLOATS:
            size = struct.calcsize(_FLOATS[tag])
            return struct.unpack(_FLOATS[tag], self._cursor.take(size))[0]
        return self._sized(tag, nesting)

    def _sized(self, tag: int, nesting: int) -> Any:
        if tag <= 0x8F or tag in (0xDE, 0xDF):
            return self._map(self._length(tag, 0x0F), nesting)
        if tag <= 0x9F or tag in (0xDC, 0xDD):
            return [self.value(nesting + 1) for _ in range(self._length(tag, 0x0F))]
        if tag <= 0xBF or tag in (0xD9, 0xDA, 0xDB):
            return self._text(self._length(tag, 0x1F))
        if tag in (0xC4, 0xC5, 0xC6):
            return self._span(self._length(tag, 0))
        if 0xC7 <= tag <= 0xD8:
            size = 1 << (tag - 0xD4) if tag >= 0xD4 else self._length(tag, 0)
            return MsgpackExtension(self._cursor.number(">b"), self._span(size))
        raise self._cursor.refusal(f"expected msgpack, found the byte {tag:#x}")

    def _length(self, tag: int, mask: int) -> int:
        return self._cursor.number(_LENGTHS[tag]) if tag in _LENGTHS else tag & mask

    def _map(self, size: int, nesting: int) -> dict[str, Any]:
        mapping = {}
        for _ in range(size):
            key = self.value(nesting + 1)
            if not isinstance(key, str | int) or str(key) in mapping:
                raise self._cursor.refusal(f"expected a new string as a key, found {key!r:.80}")
            mapping[str(key)] = self.value(nesting + 1)
        return mapping

    def _text(self, size: int) -> str | MsgpackBytes:
        if size > MAX_TEXT:
            return self._span(size)
        self._budget.take(memory=4 * size)
        return self._cursor.take(size).decode("utf-8", "backslashreplace")

    def _span(self, size: int) -> MsgpackBytes:
        start = self._cursor.skip(size)
        return MsgpackBytes(start, start + size)
