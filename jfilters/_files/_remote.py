"""Files at URLs: put whole, read whole, and errors of their stores as those of a disk."""

import contextlib
import errno
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, redacted
from ..io import Location
from ._place import is_object_store
from ._temporary import temporary_name

if TYPE_CHECKING:
    import upath

_DENIED = (401, 403)
_KEYS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "RefreshError",
}
_PERMISSION = (
    "access was denied; check your credentials, which need to create, read, list and delete there"
)
# They would print a traceback of what is told in one line here; whoever sets up logging still sees it.
for _name in ("gcsfs", "s3fs"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


def upload(file: Path, target: "upath.UPath") -> None:
    """Put a file at a URL. An object store's put is whole or absent; elsewhere a hidden one is renamed."""
    system, name = target.fs, target.path
    with remote_errors(target):
        if is_object_store(target):
            system.put_file(str(file), name)
            return
        folder = name.rpartition("/")[0]
        partial = f"{folder}/{temporary_name(target.name)}"
        system.makedirs(folder, exist_ok=True)
        try:
            system.put_file(str(file), partial)
            _rename(system, partial, name)
        finally:
            with contextlib.suppress(Exception):
                system.rm_file(partial)


def file_bytes(path: Location) -> bytes:
    """Return the bytes of a file here or at a URL. Raises OSError or UnreadableError."""
    if isinstance(path, Path):
        return path.read_bytes()
    from ..io import open_source

    source = open_source(path)
    return bytes(source.read(0, source.size))


@contextlib.contextmanager
def remote_errors(path: "upath.UPath") -> Iterator[None]:
    """Raise an OSError that names the URL and the reason, for whatever its file system raises."""
    try:
        yield
    except CheckpointError:
        raise
    except FileExistsError:
        raise
    # Deliberately broad: every client has errors of its own.
    except Exception as error:
        number, reason = _described(error)
        raise OSError(number, reason, redacted(str(path))) from error


def _rename(system, partial: str, name: str) -> None:
    try:
        system.mv(partial, name)
    except Exception:
        if not system.exists(name) or not system.exists(partial):
            raise
        # Some file systems do not rename over a file.
        system.rm_file(name)
        system.mv(partial, name)


def _described(error: Exception) -> tuple[int, str]:
    names = {kind.__name__ for kind in type(error).__mro__}
    text = " ".join(redacted(str(error)).split())[:200]
    if isinstance(error, PermissionError) or _status(error) in _DENIED or names & _KEYS:
        return errno.EACCES, _PERMISSION
    if isinstance(error, NotImplementedError) or "read-only" in text.lower():
        return errno.EROFS, "files there can be read but not written; name another place"
    if isinstance(error, FileNotFoundError):
        return errno.ENOENT, "no such bucket or folder; make it first, or check the name"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return error.errno, f"{error.strerror}; free some space, or write elsewhere"
    return errno.EIO, f"could not be written ({type(error).__name__}: {text})"


def _status(error: BaseException) -> int | None:
    holders = (
        (error, "status"),
        (error, "code"),
        (getattr(error, "response", None), "status_code"),
    )
    codes = (getattr(holder, name, None) for holder, name in holders)
    code = next((int(str(code)) for code in codes if str(code).isdecimal()), None)
    # gcsfs and botocore keep it in the text alone.
    if code is None and any(word in str(error) for word in ("Forbidden", "AccessDenied", "(403)")):
        return _DENIED[-1]
    return code
