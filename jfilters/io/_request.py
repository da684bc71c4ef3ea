"""Questions to remote file systems through fsspec: hiccups are waited out, stalls are named.

Credentials and endpoints are fsspec's own business: its configuration and the environment.
"""

import contextlib
import email.utils
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

WEB = ("http", "https")
"""Protocols of which the final slash of an address tells a folder."""

LONGEST_PAUSE = 30.0
"""Seconds that a server may ask for before the next attempt, by Retry-After."""

_MOST_FACTS = 1 << 16
_GONE, _DENIED, _OTHER_VERSION = (404, 410), (401, 403), (412, 416)
_CREDENTIALS = "check its name and your credentials"
_ANONYMOUS = {
    "s3": """a public bucket is read with FSSPEC_S3='{"anon": true}'""",
    "gs": """a public bucket is read with FSSPEC_GS='{"token": "anon"}'""",
    "hf": "gated models need HF_TOKEN",
}
_REDIRECTED = {
    "TooManyRedirects": "its server redirects in a circle",
    "NonHttpUrlRedirectClientError": "its server redirects to an address outside of the web",
    "InvalidUrlRedirectClientError": "its server redirects to what is no address",
}
_CLIENTS = ("aiohttp", "httpx", "httpx2", "requests", "urllib3")
# It would print a traceback of what is told in one line here; whoever sets up logging still sees it.
logging.getLogger("gcsfs").addHandler(logging.NullHandler())

_FINAL = {
    FileNotFoundError: "no such file or folder",
    NotADirectoryError: "not a folder",
    IsADirectoryError: "a folder",
}


def details(path: "upath.UPath", *, fresh: bool = False) -> dict[str, Any]:
    """Return the facts that fsspec gives about a path: its "type", "size" and more.

    Those of a web address are asked for once, until `forget`; others come from listings where they can.
    With `fresh` they are asked for anew.
    """
    if path.protocol not in WEB:
        return request(path, lambda: _details(path, fresh))
    if fresh or path.path not in _facts:
        facts = request(path, lambda: dict(path.fs.info(path.path)))
        if len(_facts) >= _MOST_FACTS:
            _facts.clear()
        _facts[path.path] = facts
    return _facts[path.path]


_facts: dict[str, dict[str, Any]] = {}
"""Facts about web addresses: a scan looks at each several times, and each costs a request."""


def forget(path: "upath.UPath") -> None:
    """Forget what is known of the file system of a path, which may have changed."""
    if path.protocol in WEB:
        _facts.clear()
    path.fs.invalidate_cache()


def _details(path: "upath.UPath", fresh: bool) -> dict[str, Any]:
    if fresh:
        path.fs.invalidate_cache(path.fs._parent(path.path))
    return dict(path.fs.info(path.path))


def kind(path: "upath.UPath") -> str | None:
    """Return whether the path leads to a "file" or to a "directory"; None where there is neither."""
    # Asking a web server whether an address is a folder would fetch the whole file.
    if path.protocol in WEB and path.path.endswith("/"):
        return "directory"
    try:
        return details(path)["type"]
    except UnreadableError as error:
        if _is_missing(error.__cause__):
            return None
        raise


def listing(folder: "upath.UPath") -> list["upath.UPath"]:
    """List a folder, in no particular order."""
    if folder.protocol in WEB:
        names = request(folder, lambda: folder.fs.ls(folder.path, detail=False))
        return [type(folder)(name) for name in names]
    return request(folder, lambda: [path for path in folder.iterdir() if path.name])


def details_below(folder: "upath.UPath") -> dict[str, dict[str, Any]]:
    """Return the facts of all files below a folder at once, by their names in the file system."""
    return request(folder, lambda: folder.fs.find(folder.path, detail=True))


def version(info: dict[str, Any]) -> str | None:
    """Return the fact that changes with a file's content; None if fsspec gives its size alone."""
    return next((f"{key}={info[key]}" for key in _VERSIONS if info.get(key)), None)


def request(path: "upath.UPath", call: Callable[[], Any]) -> Any:
    """Return the result of a request, after further attempts where its errors may pass.

    Raises UnreadableError that names the path if there is no answer in time, or none but errors.
    """
    for pause in (*PAUSES, None):
        try:
            return within_time(path, call)
        except CheckpointError:
            raise
        except Exception as error:
            if pause is None or not _may_pass(error):
                raise _unreadable(path, error) from error
            time.sleep(max(pause, _asked_pause(error)))


def within_time(path: "upath.UPath", call: Callable[[], Any]) -> Any:
    """Return the result of a call that runs aside, since a stalled one cannot be stopped.

    Raises UnreadableError if there is none in time, and what the call raises.
    """
    results: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        # Deliberately broad: it is raised again by whoever waits.
        except Exception as error:
            results.put((None, error))

    seconds = timeout()
    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = results.get(timeout=seconds)
    except queue.Empty:
        remedy = "set JFILTERS_TIMEOUT to wait longer"
        raise UnreadableError(f"no answer in {seconds:g} s", path=path, remedy=remedy) from None
    if error is not None:
        raise error
    return value


def timeout() -> float:
    """Return the seconds after which a request is given up. Raises UnreadableError for no such number."""
    text = os.environ.get("JFILTERS_TIMEOUT", "")
    try:
        seconds = float(text or TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise UnreadableError(f"expected seconds in JFILTERS_TIMEOUT, found {text!r}")
    return seconds


def _asked_pause(error: BaseException) -> float:
    """The seconds that an overloaded server asks to wait for, within `LONGEST_PAUSE`."""
    headers = getattr(error, "headers", None) or getattr(error.__cause__, "headers", None) or {}
    text = str(headers.get("Retry-After", "")) if hasattr(headers, "get") else ""
    try:
        seconds = float(text)
    except ValueError:
        with contextlib.suppress(ValueError, TypeError):
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
            return min(max(seconds, 0.0), LONGEST_PAUSE)
        return 0.0
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else 0.0


def _may_pass(error: BaseException) -> bool:
    """Return whether another attempt may do better: after a broken connection or an overloaded server."""
    # fsspec takes whatever a web server answers for a missing file, but keeps the cause.
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        return _may_pass(error.__cause__)
    if type(error).__name__ in _REDIRECTED:
        return False
    status = _status(error)
    if status is not None:
        return status >= 500 or status in (408, 429)
    return _is_of_client(error) or (
        isinstance(error, OSError)
        and not isinstance(error, (*_FINAL, PermissionError, FileExistsError))
    )


def _is_of_client(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _CLIENTS


def _is_missing(error: BaseException | None) -> bool:
    """Return whether an error says that nothing is there, rather than that it cannot be told."""
    if not isinstance(error, FileNotFoundError):
        return False
    cause = error.__cause__
    if cause is None or (status := _status(cause)) in _GONE:
        return True
    return status is None and not _is_of_client(cause) and not _may_pass(cause)


def is_of_another_version(error: BaseException) -> bool:
    """Return whether a store refused to give the version of a file that it was asked for."""
    # gcsfs turns the status into the error of a file that exists.
    errors = (error, error.__cause__)
    return isinstance(error, FileExistsError) or any(
        _status(x) in _OTHER_VERSION for x in errors if x is not None
    )


def _status(error: BaseException) -> int | None:
    """The status of the answer that an error is about, where there was one."""
    # gcsfs keeps no other trace of it.
    if type(error) is OSError and str(error).startswith("Forbidden: "):
        return 403
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    holders = ((error, "status"), (response, "status_code"), (error, "code"))
    # One at a time: aiohttp warns whoever looks at `code`.
    codes = (getattr(holder, name, None) for holder, name in holders)
    return next((code for code in codes if isinstance(code, int)), None)


def _is_denied(error: BaseException | None) -> bool:
    if error is None:
        return False
    is_without = type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")
    return isinstance(error, PermissionError) or is_without or _status(error) in _DENIED


def _unreadable(path: "upath.UPath", error: Exception) -> UnreadableError:
    if _is_denied(error) or _is_denied(error.__cause__):
        remedy = "; ".join(filter(None, (_CREDENTIALS, _ANONYMOUS.get(path.protocol))))
        return UnreadableError("access was denied", path=path, remedy=remedy)
    is_wrapped = isinstance(error, FileNotFoundError) and not _is_missing(error)
    cause = error.__cause__ if error.__cause__ and (is_wrapped or _may_pass(error)) else error
    reason = _REDIRECTED.get(type(cause).__name__)
    reason = reason or next((_FINAL[kind] for kind in _FINAL if isinstance(cause, kind)), None)
    if reason is None and (status := _status(cause)) is not None:
        remedy = "it is overloaded: try again later" if status in (429, 503) else None
        return UnreadableError(
            f"its server answers {status} {_text(cause)}", path=path, remedy=remedy
        )
    return UnreadableError(reason or f"{type(cause).__name__}: {_text(cause)}", path=path)


def _text(error: BaseException) -> str:
    return " ".join(str(getattr(error, "message", None) or error).split())[:200]
