"""The identity of a checkpoint's version, without reading it."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnreadableError
from ._location import Location, files_below, is_folder

if TYPE_CHECKING:
    import upath


def identity(path: Location) -> str | None:
    """A text that changes when the content of a file or folder does; None if nothing would show it.

    Of a file here it is made of size, times and inode, of a remote one of its size and what its store
    tells: a generation, a checksum (ETag), or a time. Of a folder it is a digest over the names and
    identities of its files in a fixed order. None too for what cannot be looked at: whoever reads it says
    why.
    """
    with contextlib.suppress(OSError, UnreadableError):
        if is_folder(path):
            return _combined(_local_files(path) if isinstance(path, Path) else _remote_files(path))
        return _local_file(path) if isinstance(path, Path) else _remote_file(path)
    return None


def _combined(files: Iterator[tuple[str, str | None]]) -> str | None:
    digest = hashlib.sha256()
    for name, version in files:
        if version is None:
            return None
        digest.update(f"{name}\0{version}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _local_file(path: str | Path) -> str:
    status = os.stat(path)
    # A change that keeps size and modification time shows in the time of the change itself.
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def _local_files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(files_below(folder)):
        yield path.relative_to(folder).as_posix(), _local_file(path)


def _remote_file(path: "upath.UPath") -> str | None:
    from ._request import WEB, details

    # A listing tells it of all files of a store at once; of the web each file has to be asked for.
    return _described(details(path, fresh=path.protocol in WEB))


def _remote_files(folder: "upath.UPath") -> Iterator[tuple[str, str | None]]:
    from ._request import details_below, request

    for name, info in sorted(details_below(folder).items()):
        # A page of a web server lists names alone.
        version = _described(info) or _described(
            request(folder, lambda name=name: folder.fs.info(name))
        )
        yield name.removeprefix(folder.path), version


def _described(info: dict) -> str | None:
    from ._request import version

    value = version(info)
    return value and f"{info.get('size')}:{value}"
