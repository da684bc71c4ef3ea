"""Questions to remote file systems through fsspec: hiccups are waited out, stalls are named.

Credentials and endpoints are fsspec's own business: its configuration and the environment.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UnreadableError

if TYPE_CHECKING:
    import upath

TIMEOUT = 60.0
"""Seconds after which one request is given up, unless the environment sets JFILTERS_TIMEOUT."""

PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds to wait before each further attempt."""

_VERSIONS = (
    *("generation", "ETag", "etag", "blob_id", "sha", "xet_hash", "Content-MD5", "Digest"),
    *("Last-Modified", "LastModified", "last_modified", "modified", "modify", "mtime", "created"),
)
"""What file systems call that which changes with a file's content, the surest first."""

_WEB = ("http", "https")
_DENIED = (401, 403)
_CREDENTIALS = "check its name and your credentials"
_CLIENTS = ("aiohttp", "httpx", "httpx2", "requests", "urllib3")
# It would print a traceback of what is told in one line here; whoever sets up logging still sees it.
logging.getLogger("gcsfs").addHandler(logging.NullHandler())

_FINAL = {
    FileNotFoundError: "no such file or folder",
    NotADirectoryError: "not a folder",
    IsADirectoryError: "a folder",
}


def details(path: "upath.UPath") -> dict[str, Any]:
    """Return the facts that fsspec gives about a path: its "type", "size" and more."""
    return request(path, lambda: dict(path.fs.info(path.path)))


def kind(path: "upath.UPath") -> str | None:
    """Return whether the path leads to a "file" or to a "directory"; None where there is neither."""
    # Asking a web server whether an address is a folder would fetch the whole file.
    if path.protocol in _WEB and path.path.endswith("/"):
        return "directory"
    try:
        return details(path)["type"]
    except UnreadableError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not _may_pass(error.__cause__):
            return None
        raise


def listing(folder: "upath.UPath") -> list["upath.UPath"]:
    """List a folder, in no particular order."""
    if folder.protocol in _WEB:
        names = request(folder, lambda: folder.fs.ls(folder.path, detail=False))
        return [type(folder)(name) for name in names]
    return request(folder, lambda: [path for path in folder.iterdir() if path.name])


def details_below(folder: "upath.UPath") -> dict[str, dict[str, Any]]:
    """Return the facts of all files below a folder at once, by their names in the file system."""
    return request(folder, lambda: folder.fs.find(folder.path, detail=True))


def version(info: dict[str, Any]) -> str | None:
    """Return the fact that changes with a file's content; None if fsspec gives its size alone."""
    return next((f"{key}={info[key]}" for key in _VERSIONS if info.get(key)), None)


def reader(path: "upath.UPath", size: int) -> Callable[[int, int], Any]:
    """Return the function that fetches a range of a file, and no byte more."""
    from fsspec.spec import AbstractFileSystem

    system, name = path.fs, path.path
    options = {"size": size} if path.protocol in _WEB else {}
    # A web server that serves no ranges is found out by the file object alone, within a range.
    by_file = not system.async_impl and type(system).cat_file is AbstractFileSystem.cat_file

    def fetch(start: int, stop: int) -> Any:
        with system.open(name, "rb", cache_type="none", **options) as file:
            file.seek(start)
            return file.read(stop - start)

    if by_file or options:
        return fetch
    return lambda start, stop: system.cat_file(name, start=start, end=stop)


def request(path: "upath.UPath", call: Callable[[], Any]) -> Any:
    """Return the result of a request, after further attempts where its errors may pass.

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


def _within(path: "upath.UPath", call: Callable[[], Any]) -> Any:
    """The result of a call that runs aside, since a stalled one cannot be stopped."""
    results: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        # Deliberately broad: it is raised again by whoever waits.
        except Exception as error:
            results.put((None, error))

    seconds = _timeout()
    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = results.get(timeout=seconds)
    except queue.Empty:
        remedy = "set JFILTERS_TIMEOUT to wait longer"
        raise UnreadableError(f"no answer in {seconds:g} s", path=path, remedy=remedy) from None
    if error is not None:
        raise error
    return value


def _timeout() -> float:
    text = os.environ.get("JFILTERS_TIMEOUT", "")
    try:
        seconds = float(text or TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise UnreadableError(f"expected seconds in JFILTERS_TIMEOUT, found {text!r}")
    return seconds


def _may_pass(error: BaseException) -> bool:
    """Return whether another attempt may do better: after a broken connection or an overloaded server."""
    # fsspec takes whatever a web server answers for a missing file, but keeps the cause.
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        return _may_pass(error.__cause__)
    status = _status(error)
    if status is not None:
        return status >= 500 or status in (408, 429)
    client = type(error).__module__.partition(".")[0] in _CLIENTS
    return client or (
        isinstance(error, OSError) and not isinstance(error, (*_FINAL, PermissionError))
    )


def _status(error: BaseException) -> int | None:
    """The status of the answer that an error is about, where there was one."""
    # gcsfs keeps no other trace of it.
    if type(error) is OSError and str(error).startswith("Forbidden: "):
        return 403
    holders = (
        (error, "status"),
        (getattr(error, "response", None), "status_code"),
        (error, "code"),
    )
    # One at a time: aiohttp warns whoever looks at `code`.
    codes = (getattr(holder, name, None) for holder, name in holders)
    return next((code for code in codes if isinstance(code, int)), None)


def _is_denied(error: BaseException | None) -> bool:
    return isinstance(error, PermissionError) or (error is not None and _status(error) in _DENIED)


def _unreadable(path: "upath.UPath", error: Exception) -> UnreadableError:
    if _is_denied(error) or _is_denied(error.__cause__):
        return UnreadableError("access was denied", path=path, remedy=_CREDENTIALS)
    cause = error.__cause__ if _may_pass(error) and error.__cause__ else error
    reason = next((_FINAL[kind] for kind in _FINAL if isinstance(cause, kind)), None)
    text = " ".join(str(cause).split())[:200]
    return UnreadableError(reason or f"{type(cause).__name__}: {text}", path=path)
