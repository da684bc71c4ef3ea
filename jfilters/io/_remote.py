"""Files behind a URL, read by ranges.

What was read stays at hand within a bound, and little is read ahead.
"""

import collections
import functools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..errors import UnreadableError
from ._ranges import reader
from ._request import details, request, version

if TYPE_CHECKING:
    import upath

FIRST_REACH, LAST_REACH = 1 << 12, 1 << 20
"""Bytes read ahead: after a jump, and once a reader has read on and on."""

ALLOWANCE = 1 << 17
"""Bytes that one source may read ahead beyond as many again as were asked for."""

HELD, LONGEST_HELD = 1 << 23, 1 << 22
"""Bytes that one source keeps, and of the longest range that it keeps."""

_HEAD, _PAGES = 512, (b"<!doctype html", b"<html")

SHARED = 8
"""Sources that are kept for whoever opens the same version of the same file next."""


class RemoteSource:
    """The bytes of one remote file, by range.

    Reading ahead never multiplies traffic: what is fetched stays below twice what was asked for and
    `ALLOWANCE`.
    """

    def __init__(self, path: "upath.UPath", size: int, fetch: Callable[[int, int], bytes]):
        self.path, self.size, self._fetch = path, size, fetch
        self._held: collections.OrderedDict[int, memoryview] = collections.OrderedDict()
        self._asked = self._fetched = self._end = self._reach = 0
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop. Raises UnreadableError if they do not come."""
        stop = min(stop, self.size)
        with self._lock:
            self._asked += max(stop - start, 0)
            parts = list(self._parts(start, stop))
        return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))

    def _parts(self, start: int, stop: int) -> Iterator[memoryview]:
        while start < stop:
            part = self._known(start, stop) or self._new(start, stop)
            yield part
            start += len(part)

    def _known(self, start: int, stop: int) -> memoryview | None:
        """The beginning of a range, as far as it is held."""
        for first, data in self._held.items():
            if first <= start < first + len(data):
                self._held.move_to_end(first)
                return data[start - first : stop - first]
        return None

    def _new(self, start: int, stop: int) -> memoryview:
        end = min(stop + self._ahead(start, stop), self.size)
        data = request(self.path, lambda: self._fetch(start, end))
        if len(data) != end - start:
            reason = f"expected bytes {start} to {end}, received {len(data)} bytes"
            remedy = "it changed, or its server does not serve ranges: copy it here first"
            raise UnreadableError(reason, path=self.path, remedy=remedy)
        self._fetched += len(data)
        self._end = end
        self._hold(start, memoryview(data))
        return memoryview(data)[: stop - start]

    def _ahead(self, start: int, stop: int) -> int:
        """Return the number of bytes to fetch beyond `stop`."""
        reads_on = start == self._end and self._reach
        self._reach = min(2 * self._reach, LAST_REACH) if reads_on else FIRST_REACH
        if stop - start >= LAST_REACH:
            return 0
        allowed = ALLOWANCE + 2 * self._asked - self._fetched - (stop - start)
        return min(self._reach, max(allowed, 0))

    def _hold(self, start: int, data: memoryview) -> None:
        if len(data) > LONGEST_HELD:
            return
        self._held[start] = data
        while sum(map(len, self._held.values())) > HELD:
            self._held.popitem(last=False)


def open_remote(path: "upath.UPath") -> RemoteSource:
    """The source of a remote file, with what was read of the same version before."""
    info = details(path)
    if info["type"] == "directory" or info.get("size") is None:
        what = "a folder" if info["type"] == "directory" else "one of unknown size"
        raise UnreadableError(f"expected a file, found {what}", path=path)
    current = version(info)
    if current is None:
        source = RemoteSource(path, info["size"], reader(path, info["size"]))
    else:
        source = _shared(path, info["size"], current)
    if info.get("mimetype") == "text/html":
        _check_no_page(path, source)
    return source


def _check_no_page(path: "upath.UPath", source: RemoteSource) -> None:
    """Refuse the page that a server gives in place of a file: of an error, a login, or a viewer."""
    head = bytes(source.read(0, _HEAD)).lstrip().lower()
    if head.startswith(_PAGES) and not path.path.lower().endswith((".html", ".htm")):
        remedy = "give the address of the file itself, and check whether it needs a login"
        raise UnreadableError("its server answers with a web page", path=path, remedy=remedy)


@functools.lru_cache(maxsize=SHARED)
def _shared(path: "upath.UPath", size: int, version: str) -> RemoteSource:
    return RemoteSource(path, size, reader(path, size))
