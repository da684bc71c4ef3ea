"""The files of a cache: small, each with a checksum, in a folder here or below a URL.

They are not synced, and power may fail: the checksum tells. Here no link is followed, whatever part of the
path it is, no pipe is waited for, and files of other users count as missing, unless theirs is the folder
of the scan too, where they could change the tables as well.
"""

import contextlib
import os
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._files import Location, sweep
from ._plain_files import NO_FOLLOW, read_plain, replace_plain

Name = tuple[str, ...]
"""The name of a file: its folders below that of the cache, and its own."""

MOST = 1 << 30
"""Bytes of a file that is read: the statistics of a hundred thousand layers."""

AHEAD, AHEAD_BYTES = 64, 1 << 26
"""Files, and their bytes, that are read ahead from a URL in one request of many."""


class LocalFiles:
    """The files of a cache in a folder of this machine."""

    is_remote = False

    def __init__(self, folder: Path):
        self._folder = folder
        if folder.is_symlink():
            warnings.warn(
                f"{folder} is a link, which a cache does not follow: nothing is kept there",
                stacklevel=2,
            )
            return
        for kind in ("names", "readings"):
            for part in _folders(folder / kind):
                sweep(part)

    def names(self, kind: str) -> Iterator[str]:
        """Yield the last names of all files of a kind."""
        if self._folder.is_symlink():
            return
        for part in _folders(self._folder / kind):
            with contextlib.suppress(OSError):
                yield from os.listdir(part)

    def read(self, name: Name) -> bytes | None:
        """Return the content of a file; None without it, and if it is damaged."""
        with contextlib.suppress(OSError), self._parent(name, make=False) as (parent, owners):
            return _unsealed(read_plain(name[-1], MOST, dir_fd=parent, owners=owners))
        return None

    def write(self, contents: Mapping[Name, bytes]) -> None:
        """Write some files, each whole. Raises OSError if one cannot be written."""
        for name, data in contents.items():
            with self._parent(name, make=True) as (parent, _):
                replace_plain(name[-1], _sealed(data), dir_fd=parent)

    def expect(self, names: Sequence[Name]) -> None:
        """Do nothing: files here are read fast enough."""

    def peek(self, name: Name) -> bytes | None:
        """Return the content of a file that is going to be read again."""
        return self.read(name)

    @contextlib.contextmanager
    def _parent(self, name: Name, *, make: bool) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The open folder of a file, reached through no link, and the users whose files count."""
        if make:
            self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW
        descriptor = os.open(self._folder, flags)
        try:
            owners = os.geteuid(), os.stat(self._folder.parent).st_uid
            for part in name[:-1]:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=descriptor)
                below = os.open(part, flags, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor, owners
        finally:
            os.close(descriptor)


class RemoteFiles:
    """The files of a cache below a URL: listed once, read many at a time, and written together."""

    is_remote = True

    def __init__(self, folder: Any):
        self._system, self._base = folder.fs, folder.path.rstrip("/")
        self._sizes: dict[str, int] | None = None
        self._order: dict[str, int] = {}
        self._queue: list[str] = []
        self._held: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def names(self, kind: str) -> Iterator[str]:
        """Yield the last names of all files of a kind."""
        prefix = f"{self._base}/{kind}/"
        return (path.rpartition("/")[2] for path in list(self._listed()) if path.startswith(prefix))

    def read(self, name: Name) -> bytes | None:
        """Return the content of a file; None without it, and if it is damaged."""
        path = self._path(name)
        self._fetch(path)
        return _unsealed(self._held.pop(path, None))

    def write(self, contents: Mapping[Name, bytes]) -> None:
        """Write some files, each whole. Raises OSError if one cannot be written."""
        sealed = {self._path(name): _sealed(data) for name, data in contents.items()}
        if not sealed:
            return
        _as_os_error(lambda: self._system.pipe(sealed))
        with self._lock:
            self._listed().update({path: len(data) for path, data in sealed.items()})

    def expect(self, names: Sequence[Name]) -> None:
        """Note which files are read next, in this order."""
        paths = [path for path in map(self._path, names) if path in self._listed()]
        self._queue = paths
        self._order = {path: place for place, path in enumerate(paths)}

    def peek(self, name: Name) -> bytes | None:
        """Return the content of a file that is going to be read again."""
        path = self._path(name)
        self._fetch(path)
        return _unsealed(self._held.get(path))

    def _fetch(self, path: str) -> None:
        """Read a file, and those that are expected after it, unless it is held or not there."""
        if path in self._held or self._listed().get(path, MOST + 1) > MOST:
            return
        paths, size = [], 0
        place = self._order.get(path)
        for following in [path] if place is None else self._queue[place : place + AHEAD]:
            size += self._listed().get(following, 0)
            if paths and size > AHEAD_BYTES:
                break
            paths.append(following)
        with contextlib.suppress(Exception):
            # Of a list of one, fsspec gives the content alone for some file systems.
            contents = self._system.cat(paths, on_error="omit")
            self._held |= contents if isinstance(contents, dict) else {path: contents}

    def _listed(self) -> dict[str, int]:
        """The sizes of all files, at the time of the first call."""
        if self._sizes is None:
            self._sizes = {}
            with contextlib.suppress(Exception):
                files: dict[str, Any] = self._system.find(self._base, detail=True)
                self._sizes = {path: info.get("size") or 0 for path, info in files.items()}
        return self._sizes

    def _path(self, name: Name) -> str:
        return "/".join((self._base, *name))


CacheFiles = LocalFiles | RemoteFiles


def cache_files(folder: Location) -> CacheFiles:
    """Return the files of the cache in a folder, without temporary ones of processes that have ended."""
    return LocalFiles(folder) if isinstance(folder, Path) else RemoteFiles(folder)


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in a folder, none of them a link."""
    if folder.is_symlink():
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from (Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False))


def _as_os_error(call: Callable[[], object]) -> None:
    try:
        call()
    except OSError:
        raise
    # Deliberately broad: every client has errors of its own.
    except Exception as error:
        raise OSError(str(error)) from error


def _sealed(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little") + data


def _unsealed(content: bytes | None) -> bytes | None:
    if content is None or content[:4] != zlib.crc32(content[4:]).to_bytes(4, "little"):
        return None
    return content[4:]
