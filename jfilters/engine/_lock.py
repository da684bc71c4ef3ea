"""One scan at a time in a folder, or below a URL.

Here the system holds the lock, and releases it when its process ends, however it ends. At a URL, and on
disks whose system knows no locks (Lustre, some NFS, Windows), a lease takes its place.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .._files import Location, make_folder
from ._lease import lease

NAME = ".lock"
LEASE = ".lock-held"
"""Name of the lease: a file of its own, since that of the system's lock stays behind."""

_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def locked(folder: Location) -> Iterator[Callable[[], None]]:
    """Hold the lock of a folder, which is created if it is missing; yield a check that it is still held.

    The lock of the operating system is an advisory one on a file in the folder, which also holds the number
    of the process. It needs no cleanup after a crash. No link is followed, and no other file is changed.

    **Raises:** BlockingIOError, with the process, if another one holds the lock; OSError if the folder
    cannot be written, or something else has the name of the lock.
    """
    make_folder(folder)
    if not isinstance(folder, Path):
        with lease(folder / NAME) as check:
            yield check
        return
    descriptor = _opened(folder / NAME)
    try:
        if _lock(descriptor, folder):
            yield lambda: None
        else:
            with lease(folder / LEASE) as check:
                yield check
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _no_lock(path) from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise _no_lock(path)


def _no_lock(path: Path) -> OSError:
    reason = "expected the plain file of a scan's lock, found a link or something else; remove it"
    return OSError(errno.EEXIST, reason, str(path))


def _lock(descriptor: int, folder: Path) -> bool:
    """Take the system's lock; False where this disk or system has none."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return False
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        reason = f"another scan (process {holder}) is writing there: wait, or choose another folder"
        raise BlockingIOError(error.errno, reason, str(folder)) from error
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            return False
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return True
