"""One scan at a time in a folder. The system releases the lock when its process ends, however it ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created if it is missing.

    The lock is an advisory one of the operating system on a file in the folder, which also holds the number
    of the process. It needs no cleanup after a crash.

    **Raises:** BlockingIOError, with the number of the process, if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: nothing prevents a second scan there
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        reason = f"another scan (process {holder}) is writing there: wait, or choose another folder"
        raise BlockingIOError(error.errno, reason, str(folder)) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
