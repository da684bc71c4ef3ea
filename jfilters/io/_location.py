"""The location of a checkpoint: a path on this machine, or a URL that fsspec knows.

Readers take either, and ask here what a path alone does not answer the same, or as cheaply, for both.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from .._traced import kind_of
from ..errors import CheckpointError, MissingExtraError, UnreadableError, redacted

if TYPE_CHECKING:
    import upath

# By name, so that nothing optional is imported for a path on this machine.
Location = Union[Path, "upath.UPath"]

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of paths at which nothing can lie; who opens such a path is told which it was."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def location(path: str | Location) -> Location:
    """The path of a checkpoint: a `Path`, or the `UPath` of a URL such as "s3://bucket/folder".

    Text is taken as new: listings of its file system that fsspec remembers are forgotten.

    Raises MissingExtraError if the packages behind a URL are not installed, UnreadableError if no
    package serves URLs of its kind.
    """
    if not isinstance(path, str):
        return _checked(path)
    return _remote(path) if _is_url(path) else Path(path)


def is_path(value: object) -> bool:
    """Return whether a value is a path or a URL: text, a `Path` or a `UPath`."""
    return (
        isinstance(value, str | os.PathLike) or type(value).__module__.partition(".")[0] == "upath"
    )


def is_remote(path: Location) -> bool:
    """Return whether reading the path takes a network rather than the operating system."""
    return not isinstance(path, Path)


def is_folder(path: Location) -> bool:
    """Return whether the path leads to a folder; for a web address its final slash tells.

    False for a path that leads nowhere. Raises UnreadableError if it cannot be looked at.
    """
    if isinstance(path, Path):
        return stat.S_ISDIR(_local_mode(path))
    from ._request import kind

    return kind(path) == "directory"


def is_file(path: Location) -> bool:
    """Return whether the path leads to a file. Raises UnreadableError if it cannot be looked at."""
    if isinstance(path, Path):
        return stat.S_ISREG(_local_mode(path))
    from ._request import kind

    return kind(path) == "file"


def exists(path: Location) -> bool:
    """Return whether the path leads anywhere. Raises UnreadableError if it cannot be looked at."""
    return bool(_local_mode(path)) if isinstance(path, Path) else is_file(path) or is_folder(path)


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder on this machine and of those below it, in no order.

    Links to folders are not entered. Raises OSError if a part of it cannot be looked at.
    """
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif stat.S_ISREG(_mode(path)):
                    yield path


def _mode(path: Path) -> int:
    """The kind and the rights of what lies at a path; 0 if it leads nowhere. Raises OSError."""
    try:
        return os.stat(path).st_mode
    except ValueError:  # no path holds a null byte
        return 0
    except OSError as error:
        if error.errno in _NOWHERE:
            return 0
        raise


def _local_mode(path: Path) -> int:
    try:
        return _mode(path)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), path=path) from error


def children(folder: Location) -> list[Location]:
    """List a folder, sorted by name. Raises OSError or UnreadableError if it cannot be listed."""
    if isinstance(folder, Path):
        return [folder / name for name in sorted(os.listdir(folder))]
    from ._request import listing

    return sorted(listing(folder), key=base_name)


def remote_bytes(path: "upath.UPath") -> int:
    """The bytes of a remote file, or of all files of a remote folder, as far as they are told."""
    from ._request import details, details_below

    files = details_below(path).values() if is_folder(path) else [details(path)]
    return sum(info.get("size") or 0 for info in files)


def base_name(path: Location) -> str:
    """The name of a file or folder, without the query of a web address."""
    if not isinstance(path, Path):
        return _plain(path).rpartition("/")[2]
    # "." has no name of its own, and ".." is none.
    return path.name if path.name not in ("", "..") else path.resolve().name


def name_below(path: Location, root: Location) -> str:
    """The path relative to a folder above it, with slashes."""
    if isinstance(path, Path) and isinstance(root, Path):
        return path.relative_to(root).as_posix()
    return _plain(path).removeprefix(_plain(root)).lstrip("/")


def _checked(path: Any) -> Location:
    if is_path(path):
        return path
    if isinstance(path, os.PathLike):
        return Path(path)
    reason = f"expected a path or a URL, got {kind_of(path)}"
    remedy = "from_params and from_module read networks in memory, compare and scan take them"
    raise CheckpointError(reason, remedy=remedy)


def _plain(path: Location) -> str:
    return redacted(str(path)).rstrip("/")


def _remote(url: str) -> Location:
    plain = _unchained(url)
    # Else gcsfs asks what kind of bucket it is before every read, by gRPC, for the sake of zonal buckets.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingExtraError("universal-pathlib", "cloud", path=url) from error
    from ._request import forget, within_time

    try:
        path = UPath(plain)
        # Asking for it imports the package that serves such URLs; what it told before may have changed.
        within_time(path, lambda: forget(path))
    except ImportError as error:
        raise _missing_package(url, error) from error
    except CheckpointError:
        raise
    # Deliberately broad: packages connect here, and raise whatever theirs raise.
    except Exception as error:
        raise UnreadableError(f"no URL that can be read ({error})", path=url) from error
    return path


_WRAPPERS = {
    *("simplecache", "filecache", "blockcache", "cached", "zip", "tar", "libarchive", "dir"),
    *("reference", "generic", "dask", "async_wrapper", "asyncwrapper", "asynclocal"),
}
_CHAINED = re.compile(rf"(?:{'|'.join(_WRAPPERS)})::|[a-z][a-z0-9+.-]*::[a-z][a-z0-9+.-]*://")

_OF_CLOUD = ("s3", "s3a", "gs", "gcs", "hf", "http", "https")


def _is_url(text: str) -> bool:
    return bool(_URL.match(text) or _CHAINED.match(text.lower()))


def _unchained(url: str) -> str:
    """The URL, in which no part is taken for another URL.

    Raises UnreadableError for a file inside another, which would be read whole or name further places.
    """
    from ._request import WEB

    scheme, _, place = url.partition("://")
    if scheme.lower() in WEB:
        host, slash, name = place.partition("/")
        # fsspec would read the address in front of the colons: another file.
        url = f"{scheme}://{host}{slash}{name.replace('::', '%3A%3A')}"
    if "::" in url or scheme.lower() in _WRAPPERS:
        reason = f"a URL of one file inside another ({url.partition(':')[0]}:), which is not read"
        raise UnreadableError(reason, path=url, remedy="copy the file here, or give its own URL")
    return url


def _missing_package(url: str, error: ImportError) -> CheckpointError:
    """The error for a package that URLs of a kind need: in the extra, or one that fsspec names."""
    scheme = url.partition(":")[0].lower()
    if scheme in _OF_CLOUD:
        return MissingExtraError(error.name or "fsspec", "cloud", path=url)
    package = _PACKAGES.get(scheme) or (error.name or "").partition(".")[0]
    reason = f"{scheme}:// needs the package {package}" if package else _one_line(error)
    remedy = f"install it with: pip install {package}" if package else None
    return UnreadableError(reason, path=url, remedy=remedy)


_PACKAGES = {
    **dict.fromkeys(("ssh", "sftp"), "paramiko"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **{"smb": "smbprotocol", "oss": "ossfs", "box": "boxfs", "webdav": "webdav4", "dvc": "dvc"},
    **{"oci": "ocifs", "git": "pygit2", "root": "fsspec-xrootd", "lakefs": "lakefs-spec"},
    **{"hdfs": "pyarrow", "wandb": "wandbfs", "gdrive": "gdrive_fs", "dropbox": "dropboxdrivefs"},
}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
