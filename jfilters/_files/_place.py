"""Places that output goes to and scans are opened at: a path here, or a URL that fsspec knows."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import CheckpointError, MissingExtraError, redacted
from ..io import Location

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):(/*)", re.IGNORECASE)
_LOCAL = ("file", "local")
_READ_ONLY = {
    *("http", "https", "zip", "tar", "libarchive", "data", "reference", "git", "github", "hf"),
    *("jlab", "blockcache", "filecache", "simplecache", "cached"),
}
_EXTRA = {"s3fs", "gcsfs", "huggingface_hub", "fsspec"}
_OBJECT_STORES = {
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory", "r2", "tos"),
}


def place(path: str | os.PathLike[str] | Location) -> Location:
    """Return the place of output: a `Path`, or the `UPath` of a URL such as "gs://bucket/folder".

    No text that looks like a URL becomes a local folder.

    Raises:
        CheckpointError: for a URL that cannot be written, or a slip such as "s3:/bucket".
        MissingExtraError: the package behind the URL is not installed.
    """
    target = readable(path)
    if not isinstance(target, Path) and target.protocol in _READ_ONLY:
        raise CheckpointError(
            f"{target.protocol}:// can be read but not written",
            path=target,
            remedy="name a folder here, or a URL of a store such as s3:// or gs://",
        )
    return target


def readable(path: str | os.PathLike[str] | Location) -> Location:
    """Return the place of a scan to open: like `place`, but web addresses are fine."""
    if not isinstance(path, str):
        return _checked(path)
    match = _SCHEME.match(path)
    if match is None or Path(match[1] + ":").exists():
        return Path(path)
    scheme, slashes = match[1].lower(), match[2]
    if "::" in path:
        raise CheckpointError(
            "a chain of file systems", path=path, remedy="name the URL behind the last :: alone"
        )
    if slashes.startswith("//"):
        return _local(path) if scheme in _LOCAL else _remote(path)
    if _is_known(scheme):
        raise _slip(path, scheme, path[match.end() :])
    return Path(path)


def is_url(path: Location) -> bool:
    """Return whether a place lies behind a URL."""
    return not isinstance(path, Path)


def is_there(path: Location) -> bool:
    """Return whether a place is a file."""
    from ..io import is_file

    return is_file(path)


def is_object_store(path: Location) -> bool:
    """Return whether a store puts an object whole or not at all, and has no folders to make."""
    return not isinstance(path, Path) and path.protocol in _OBJECT_STORES


def _checked(path: os.PathLike[str] | Location) -> Location:
    if not isinstance(path, os.PathLike):
        return path  # a UPath
    local = Path(path)
    match = _SCHEME.fullmatch(local.parts[0]) if local.parts else None
    if match and _is_known(match[1].lower()) and not Path(local.parts[0]).exists():
        # pathlib makes one slash of two.
        raise _slip(str(local), match[1], "/".join(local.parts[1:]))
    return local


def _slip(path: str, scheme: str, below: str) -> CheckpointError:
    remedy = f'write it as text with two slashes: "{scheme}://{redacted(below)}"'
    return CheckpointError(
        "this looks like a URL, and would be a local folder", path=path, remedy=remedy
    )


def _is_known(scheme: str) -> bool:
    try:
        from fsspec.registry import known_implementations
    except ImportError:
        return scheme in _OBJECT_STORES | _READ_ONLY
    return scheme in known_implementations


def _local(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        remedy = "a path here has three slashes: file:///folder"
        raise CheckpointError(f"names the host {parts.netloc}", path=url, remedy=remedy)
    return Path(unquote(parts.path))


def _remote(url: str) -> Location:
    from ..io import location

    try:
        return location(url)
    except MissingExtraError as error:
        raise _missing(url, error) from error


def _missing(url: str, error: MissingExtraError) -> CheckpointError:
    """The error that names the package behind a URL, and the extra that brings it."""
    scheme = url.partition(":")[0].lower()
    try:
        from fsspec.registry import known_implementations
    except ImportError:
        return MissingExtraError(error.package, "cloud", path=url)
    served_by = known_implementations.get(scheme, {})
    package = served_by.get("class", "fsspec").partition(".")[0]
    if package in _EXTRA:
        missing = error.package if package == "fsspec" else package
        return MissingExtraError(missing, "cloud", path=url)
    reason = f"this needs the package {package}"
    return CheckpointError(reason, path=url, remedy=f"install it with: pip install {package}")
