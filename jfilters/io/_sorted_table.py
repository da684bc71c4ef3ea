"""Sorted tables of key and value, as LevelDB and TensorFlow's checkpoints write them.

Blocks of entries whose keys share their beginnings, an index of the blocks, and a footer of fixed length.
Source: google/leveldb, doc/table_format.md.
"""

from collections.abc import Iterator
from typing import NoReturn

from ..errors import CheckpointError
from ._budget import budget
from ._snappy import unsnappy
from ._source import ByteSource

TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The last bytes of a table."""

MAX_ENTRIES = 1 << 20
"""Entries of a table."""

MAX_BYTES = 1 << 26
"""Bytes of all keys, and of any block."""

_FOOTER = 48
_ENTRY_BYTES = 300
_TRAILER = 5  # the kind of compression, and a checksum
_LONGEST_KEY = 1 << 13


def is_sorted_table(source: ByteSource) -> bool:
    """Return whether a file ends as a table does."""
    size = source.size
    return size >= _FOOTER and bytes(source.read(size - 8, size)) == TABLE_MAGIC


class SortedTable:
    """The entries of one file. Raises CheckpointError where it is damaged."""

    def __init__(self, source: ByteSource):
        self._source = source
        self._entries, self._bytes = MAX_ENTRIES, MAX_BYTES
        self._budget = budget(source.path)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with their values, in the order of the keys."""
        size = self._source.size
        footer = bytes(self._source.read(size - _FOOTER, size))
        at = 0
        for _ in range(2):  # the handle of the metadata, which says nothing of the entries
            _, at = self._varint(footer, at)
        start, at = self._varint(footer, at)
        length, _ = self._varint(footer, at)
        for _, handle in self._block(start, length):
            start, at = self._varint(handle, 0)
            length, _ = self._varint(handle, at)
            yield from self._block(start, length)

    def _block(self, start: int, length: int) -> Iterator[tuple[bytes, bytes]]:
        data = self._content(start, length)
        restarts = int.from_bytes(data[-4:], "little")
        stop = len(data) - 4 - 4 * restarts
        if len(data) < 4 or stop < 0:
            self._refuse(f"a block of {len(data)} bytes with {restarts} restarts")
        key, at = b"", 0
        while at < stop:
            shared, at = self._varint(data, at)
            own, at = self._varint(data, at)
            size, at = self._varint(data, at)
            if shared > len(key) or at + own + size > stop:
                self._refuse(f"an entry of {own} and {size} bytes")
            key = key[:shared] + data[at : at + own]
            self._count(len(key))
            self._budget.take(memory=_ENTRY_BYTES + len(key) + size)
            yield key, data[at + own : at + own + size]
            at += own + size

    def _content(self, start: int, length: int) -> bytes:
        whole = self._source.size
        if length > MAX_BYTES or start + length + _TRAILER > whole:
            self._refuse(f"a block in bytes {start}..{start + length} of {whole}")
        # Any number of handles may lead to one block.
        self._budget.take(elements=length // 16 + 1)
        data = bytes(self._source.read(start, start + length + 1))
        if data[-1] == 0:
            return data[:-1]
        if data[-1] != 1:
            self._refuse(f"a block compressed by method {data[-1]}")
        try:
            return unsnappy(data[:-1])
        except ValueError as error:
            self._refuse(str(error))

    def _count(self, size: int) -> None:
        self._entries -= 1
        self._bytes -= size
        if min(self._entries, self._bytes) < 0 or size > _LONGEST_KEY:
            self._refuse(f"more than {MAX_ENTRIES} entries or {MAX_BYTES} bytes of keys")

    def _varint(self, data: bytes, at: int) -> tuple[int, int]:
        value = 0
        for index, byte in enumerate(data[at : at + 10]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, at + index + 1
        self._refuse("a number without an end")

    def _refuse(self, reason: str) -> NoReturn:
        raise CheckpointError(f"damaged table: {reason}", path=self._source.path)
