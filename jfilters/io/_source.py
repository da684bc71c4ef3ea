"""Bytes by range: the one way in which readers look at files.

A reader asks for the few bytes of a header, then for one tensor at a time; it never opens a file itself.
"""

import io
import os
import stat
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from .._memory import aligned_empty
from ..errors import UnreadableError
from ._budget import budget
from ._changed import changed
from ._location import Location

if TYPE_CHECKING:
    import upath

LOCAL_WINDOW, REMOTE_WINDOW = 1 << 16, 1 << 9
"""Bytes that cost next to nothing here, and of which few are wasted there; more are read ahead in a row."""


@runtime_checkable
class ByteSource(Protocol):
    """Random access to the bytes of one file."""

    @property
    def path(self) -> Location:
        """The location of the file."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop; shorter only where the file ends before `stop`."""
        ...


class LocalSource:
    """A file on this machine, read by position.

    Not mapped: a mapped file that shrinks or fails under its reader kills the process with SIGBUS, and
    its pages stay in the resident set of a scan whose memory is to stay flat. A file that is written to
    after it was opened is an error: what was read before and after would be a mix of two versions.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            # O_NONBLOCK: opening a FIFO must not hang.
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            weakref.finalize(self, os.close, self._descriptor)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise UnreadableError(error.strerror or str(error), path=path) from error
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("expected a regular file, found a special one", path=path)
        self.size, self._written = status.st_size, status.st_mtime_ns

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop."""
        stop = min(stop, self.size)
        if start >= stop:
            return memoryview(b"")
        data = self._read(start, stop)
        # A microsecond. Not the time of change, which a rename sets too.
        if (status := self._status()) != (self.size, self._written):
            if status[0] < self.size:
                raise self._shrank()
            raise changed(self.path)
        return data

    def _status(self) -> tuple[int, int]:
        try:
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise UnreadableError(error.strerror or str(error), path=self.path) from error
        return status.st_size, status.st_mtime_ns

    def _shrank(self) -> UnreadableError:
        reason = f"the file shrank from {self.size} bytes while being read"
        return UnreadableError(reason, path=self.path)

    def _read(self, start: int, stop: int) -> memoryview:
        try:
            if stop - start <= LOCAL_WINDOW:
                data = os.pread(self._descriptor, stop - start, start)
                if len(data) == stop - start:
                    return memoryview(data)
            buffer = aligned_empty((stop - start,), np.uint8).data
            filled = 0
            while filled < len(buffer):
                # One call moves at most 2 GiB.
                count = os.preadv(self._descriptor, [buffer[filled:]], start + filled)
                if count == 0:
                    raise self._shrank()
                filled += count
        except OSError as error:
            raise UnreadableError(error.strerror or str(error), path=self.path) from error
        return buffer.toreadonly()


class SourceRange:
    """The bytes start..stop of a source as a source of their own: a file inside a file."""

    def __init__(self, source: ByteSource, start: int, stop: int):
        self.path = source.path
        self.start, self._source = start, source
        self.size = max(min(stop, source.size) - start, 0)

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop of the range."""
        stop = min(stop, self.size)
        if start >= stop:
            return memoryview(b"")
        return self._source.read(self.start + start, self.start + stop)


class SourceFile(io.RawIOBase):
    """A seekable file object over a `ByteSource`, for libraries that want one (zipfile, h5py)."""

    def __init__(self, source: ByteSource):
        self._source, self._position = source, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer) -> int:
        """Fill `buffer` from the position on."""
        data = self._source.read(self._position, self._position + len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def open_source(path: Location) -> ByteSource:
    """Open one file for reading by ranges. Raises UnreadableError if it cannot be opened."""
    source = LocalSource(path) if isinstance(path, Path) else _remote(path)
    budget(path).add_file(path, source.size)
    return source


def _remote(path: "upath.UPath") -> ByteSource:
    from ._remote import open_remote

    return open_remote(path)


def window(source: ByteSource) -> int:
    """Bytes worth fetching at a time where a reader of `source` leaps from record to record."""
    return LOCAL_WINDOW if isinstance(source.path, Path) else REMOTE_WINDOW
