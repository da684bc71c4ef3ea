"""Checks for damage over which the HDF5 library itself would fail, made before it gets that far."""

import struct
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ._location import Location
from ._source import ByteSource, SourceFile, open_source

SIGNATURE = b"\x89HDF\r\n\x1a\n"

LONGEST_USER_BLOCK = 1 << 20
"""Bytes before the signature; HDF5 allows any power of two from 512 on."""

MAX_HEAP = 1 << 28
"""Bytes of one global heap, where HDF5 keeps text of variable length."""

MAX_HEAP_ENTRIES = 70_000
"""Entries of one global heap; their numbers have 16 bits."""

MAX_LEVELS = 4
"""Levels of an index of members or chunks, each with 32 children or more a node."""

_ENCODED_KIND = 3
"""Where the kind of variable length is, behind the versions and the class of an encoded type."""

_HEAP, _TREE, _TREE_2 = b"GCOL", b"TREE", b"BTHD"


def is_hdf5(path: Location, head: bytes) -> bool:
    """Return whether a file holds the signature of HDF5, at its start or behind a user block.

    MATLAB's files are left out: they are HDF5, but with the axes of every array reversed.
    """
    if head.startswith(b"MATLAB"):
        return False
    if head.startswith(SIGNATURE) or len(head) < 512:
        return head.startswith(SIGNATURE)
    try:
        return _signature(open_source(path)) is not None
    except CheckpointError:
        return False


def _signature(source: ByteSource) -> int | None:
    """Return the offset of the file proper."""
    starts = [0, *(512 << k for k in range(LONGEST_USER_BLOCK.bit_length() - 9))]
    matches = (start for start in starts if bytes(source.read(start, start + 8)) == SIGNATURE)
    return next(matches, None)


def base_address(source: ByteSource) -> int:
    """Return the offset of the file proper; CheckpointError unless its lengths have 8 bytes.

    All writers use 8 bytes, and only with these are heaps and headers checked here.
    """
    start = _signature(source)
    block = bytes(source.read(start, start + 16)) if start is not None else b""
    sizes = block[13:15] if block[8:9] in (b"\0", b"\1") else block[9:11]
    if sizes != b"\x08\x08":
        reason = (
            f"expected HDF5 with offsets and lengths of 8 bytes, found {sizes.hex(' ') or 'none'}"
        )
        raise CheckpointError(reason, path=source.path)
    return start or 0


def keeps_sizes(stored: Any, dtype: np.dtype) -> bool:
    """Return whether values, and their fields, are as long in memory as in the file.

    HDF5 writes past its buffers when the fields of a record grow into each other.
    """
    if dtype.hasobject:
        return dtype.names is None
    members = range(stored.get_nmembers() if dtype.fields else 0)
    return stored.get_size() == dtype.itemsize and all(
        keeps_sizes(stored.get_member_type(index), _field(dtype, stored.get_member_name(index)))
        for index in members
    )


def holds_bytes(stored: Any) -> bool:
    """Return whether values are sequences of bytes, of variable length.

    HDF5 crashes over a variable length that is neither that of a sequence, 0, nor that of text.
    """
    import h5py

    if not isinstance(stored, h5py.h5t.TypeVlenID) or stored.encode()[_ENCODED_KIND] & 0xF:
        return False
    return stored.get_super().dtype == np.uint8


def _field(dtype: np.dtype, name: bytes) -> np.dtype:
    return dtype[name.decode("utf-8", "surrogateescape")]


class GuardedFile(SourceFile):
    """A file whose reads are whole or fail, and whose heaps of text and indexes end.

    HDF5 takes what is missing for zeros, and never returns from a heap with an entry of size zero.
    """

    def __init__(self, source: ByteSource, base: int = 0):
        super().__init__(source)
        self._base = base
        self._right: dict[int, int] = {}

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the position on."""
        start = self.tell()
        count = super().readinto(buffer)
        if count < len(buffer):
            raise OSError(f"the file ends {len(buffer) - count} bytes early")
        self._check_tree(start, bytes(buffer[:32]))
        if bytes(buffer[:4]) == _HEAP:
            size = int.from_bytes(buffer[8:16], "little")
            _check_heap(self._source.read(start, start + min(size, MAX_HEAP)))
        return count

    def _check_tree(self, start: int, head: bytes) -> None:
        """Refuse an index of too many levels, and one whose nodes lie in a ring.

        HDF5 follows every child of every level, and every node to its neighbor on the right.
        """
        levels = head[5] if head.startswith(_TREE) else 0
        if head.startswith(_TREE_2):
            levels = int.from_bytes(head[12:14], "little")
        if levels > MAX_LEVELS:
            raise OSError(f"an index of {levels} levels")
        if head.startswith(_TREE):
            self._follow(start - self._base, int.from_bytes(head[16:24], "little"))

    def _follow(self, node: int, right: int):
        # A ring is closed by the node of it that is read last.
        follower = right
        while follower != node and follower in self._right:
            follower = self._right[follower]
        if follower == node:
            raise OSError("an index whose nodes lie in a ring")
        self._right[node] = right


def _check_heap(heap: memoryview) -> None:
    """Walk the entries of a global heap as HDF5 will, whose sizes overflow where these do not.

    Entry 0 is the free space behind them.
    """
    position = 16
    for _ in range(MAX_HEAP_ENTRIES):
        if position + 16 > len(heap):
            return
        index, size = struct.unpack_from("<H6xQ", heap, position)
        step = 16 + (size + 7) // 8 * 8 if index else size
        position += step
        if step < 16 or position > len(heap):
            break
    raise OSError("a global heap that does not end")
