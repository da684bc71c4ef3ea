"""Files behind a URL, read through fsspec by ranges.

What was read stays at hand within a bound, hiccups are waited out, and a source that stalls is named.
Credentials and endpoints are fsspec's own business: its configuration and the environment.
"""

import collections
import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import CheckpointError, UnreadableError
from ._location import Location

if TYPE_CHECKING:
    import fsspec

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds after which one request is given up, unless the environment sets JFILTERS_TIMEOUT."""

PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds to wait before each further attempt."""

FIRST_REACH, LAST_REACH = 1 << 12, 1 << 20
"""Bytes read ahead: after a jump, and once a reader has read on and on."""

ALLOWANCE = 1 << 17
"""Bytes that one source may read ahead beyond as many again as were asked for."""

HELD, LONGEST_HELD = 1 << 23, 1 << 22
"""Bytes that one source keeps, and of the longest range that it keeps."""

SHARED = 8
"""Sources that are kept for whoever opens the same version of the same file next."""

_WEB = ("http", "https")
_CLIENTS = ("aiohttp", "httpx", "httpx2", "requests", "urllib3")
_FINAL = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


class RemoteSource:
    """The bytes of one remote file, by range.

    Reading ahead never multiplies traffic: what is fetched stays below twice what was asked for, plus
    `ALLOWANCE`.
    """

    def __init__(self, path: Location, size: int, fetch: Callable[[int, int], bytes]):
        self.path, self.size, self._fetch = path, size, fetch
        self._held: collections.OrderedDict[int, memoryview] = collections.OrderedDict()
        self._asked = self._fetched = self._end = self._reach = 0
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop. Raises UnreadableError if they do not come."""
        with self._lock:
            parts = list(self._parts(start, min(stop, self.size)))
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
        data = ask(self.path, lambda: self._fetch(start, end))
        if len(data) != end - start:
            reason = f"expected bytes {start} to {end}, received {len(data)} bytes"
            remedy = "it changed, or its server does not serve ranges: copy it here first"
            raise UnreadableError(reason, path=self.path, remedy=remedy)
        self._fetched += len(data)
        self._end = end
        self._hold(start, memoryview(data))
        return memoryview(data)[: stop - start]

    def _ahead(self, start: int, stop: int) -> int:
        """How many bytes to fetch beyond `stop`."""
        self._asked += stop - start
        reads_on = start == self._end and self._reach
        self._reach = min(2 * self._reach, LAST_REACH) if reads_on else FIRST_REACH
        if stop - start >= LAST_REACH:
            return 0
        spare = ALLOWANCE + 2 * self._asked - self._fetched - (stop - start)
        return min(self._reach, max(spare, 0))

    def _hold(self, start: int, data: memoryview) -> None:
        if len(data) > LONGEST_HELD:
            return
        self._held[start] = data
        while sum(map(len, self._held.values())) > HELD:
            self._held.popitem(last=False)


def open_remote(path: Location) -> RemoteSource:
    """The source of a remote file, with what was read of the same version before."""
    found = details(path)
    size = found.get("size")
    if found.get("type") == "directory" or size is None:
        what = "a folder" if size is not None else "one of unknown size"
        raise UnreadableError(f"expected a file, found {what}", path=path)
    version = _version(found)
    if version is None:
        return RemoteSource(path, size, _fetcher(path, size))
    return _shared(path, size, version)


def details(path: Location) -> dict[str, Any]:
    """What fsspec tells about a path."""
    return ask(path, lambda: dict(_system(path).info(path.path)))


def kind(path: Location) -> str | None:
    """ "file" or "directory", None where there is neither."""
    # Asking a web server whether an address is a folder would fetch the whole file.
    if path.protocol in _WEB and str(path).endswith("/"):
        return "directory"
    try:
        return details(path)["type"]
    except UnreadableError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def listing(folder: Location) -> list[Location]:
    """What lies in a folder, in no particular order."""
    if path_is_web := folder.protocol in _WEB:
        names = ask(folder, lambda: _system(folder).ls(folder.path, detail=False))
    return [type(folder)(name) for name in names] if path_is_web else _entries(folder)


def ask(path: Location, call: Callable[[], T]) -> T:
    """What a request gives, after some attempts where its errors may pass.

    Raises UnreadableError that names the path if there is no answer in time, or none but errors.
    """
    for pause in (*PAUSES, None):
        try:
            return _within(path, call)
        except CheckpointError:
            raise
        except Exception as error:
            if pause is None or not _may_pass(error):
                raise _unreadable(path, error) from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _within(path: Location, call: Callable[[], T]) -> T:
    """The result of a call that runs aside, since a stalled one cannot be stopped."""
    results: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except Exception as error:
            results.put((None, error))

    seconds = float(os.environ.get("JFILTERS_TIMEOUT", TIMEOUT))
    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = results.get(timeout=seconds)
    except queue.Empty:
        remedy = "set JFILTERS_TIMEOUT to wait longer"
        raise UnreadableError(f"no answer in {seconds:g} s", path=path, remedy=remedy) from None
    if error is not None:
        raise error
    return value
