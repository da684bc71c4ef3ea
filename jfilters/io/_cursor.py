"""A reading position in a file, for streams whose records follow each other.

Small reads come from a window that is fetched at once; big ones are passed over, in the file.
"""

import struct

from ..errors import CheckpointError
from ._source import ByteSource, window

LONGEST_LINE = 4096
"""Bytes of a text line, far beyond any class name."""


class Cursor:
    """A position in the bytes start..stop of a source, beyond which nothing is read."""

    def __init__(self, source: ByteSource, start: int = 0, stop: int | None = None):
        self.source = source
        self._stop = source.size if stop is None else stop
        self._least = window(source)
        self._window, self._base, self._offset = b"", start, 0

    @property
    def position(self) -> int:
        """The offset in the source of the next byte."""
        return self._base + self._offset

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._offset + count
        if end > len(self._window):
            self._refill(count)
            end = count
        data = self._window[self._offset : end]
        self._offset = end
        return data

    def line(self) -> bytes:
        """The bytes up to the next newline, which is consumed."""
        end = self._newline()
        if end < 0:
            self._refill(min(LONGEST_LINE, self._stop - self.position))
            end = self._newline()
        if end < 0:
            raise self.refusal(f"expected a line of at most {LONGEST_LINE} bytes")
        return self.take(end + 1 - self._offset)[:-1]

    def number(self, layout: str) -> int:
        """The next integer, by a layout of `struct`."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def skip(self, count: int) -> int:
        """Pass over `count` bytes unread; returns where they start."""
        start = self.position
        self._check(count)
        self._window, self._base, self._offset = b"", start + count, 0
        return start

    def refusal(self, reason: str) -> CheckpointError:
        """The error that says what was wrong, and where."""
        return CheckpointError(f"{reason} before byte {self.position}", path=self.source.path)

    def _newline(self) -> int:
        return self._window.find(b"\n", self._offset, self._offset + LONGEST_LINE)

    def _refill(self, count: int) -> None:
        self._check(count)
        start = self.position
        stop = min(start + max(count, self._least), self._stop)
        self._window, self._base, self._offset = bytes(self.source.read(start, stop)), start, 0

    def _check(self, count: int) -> None:
        if self.position + count > self._stop:
            remaining = max(self._stop - self.position, 0)
            raise self.refusal(
                f"the file ends early: expected {count} more bytes, found {remaining},"
            )
