"""Small plain files of a scan's own, read and replaced without following a link or waiting for a pipe."""

import contextlib
import os
import stat
from pathlib import Path

from .._files import temporary_name

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_FOLLOW


def read_plain(
    path: Path | str, most: int, *, dir_fd: int | None = None, owners: tuple[int, ...] = ()
) -> bytes | None:
    """Return the content of a plain file of at most `most` bytes; None for anything else.

    With `owners` a file of another user counts as none.
    """
    try:
        descriptor = os.open(path, _READ, dir_fd=dir_fd)
    except OSError:
        return None
    with contextlib.suppress(OSError), os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        is_own = not owners or status.st_uid in owners
        if stat.S_ISREG(status.st_mode) and is_own and status.st_size <= most:
            return file.read(most)
    return None


def replace_plain(path: Path | str, data: bytes, *, dir_fd: int | None = None) -> None:
    """Replace a file, and a link by a file; it is not synced to the disk."""
    path = Path(path)
    temporary = path.with_name(temporary_name(path.name))
    descriptor = os.open(temporary, _CREATE, 0o666, dir_fd=dir_fd)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise
