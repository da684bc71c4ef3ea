"""Temporary files beside the files that they become, and their removal when their process is gone."""

import contextlib
import os
import re
import secrets
import socket
import stat
import time
import zlib
from pathlib import Path

_NAME = re.compile(r"\..*?\.(?:(?P<host>[0-9a-f]{8})\.)?(?P<pid>\d{1,19})(?:-[0-9a-f]{8})?\.tmp")
_LONGEST = 100
"""Bytes of a file's own name in that of its temporary file, which has at most 255."""

ALIVE = 86_400.0
"""Seconds for which a temporary file of another machine counts as in use, whose processes are unknown."""

_EXCLUSIVE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)


def temporary_name(name: str) -> str:
    """Return a new hidden name for a file that is not finished; it tells machine and process."""
    stem = os.fsdecode(os.fsencode(name)[:_LONGEST])
    return f".{stem}.{host_mark()}.{os.getpid()}-{secrets.token_hex(4)}.tmp"


def create(folder: Path, name: str) -> tuple[Path, int]:
    """Create an empty temporary file, and return its path and the mode that the umask gives files."""
    path = folder / temporary_name(name)
    descriptor = os.open(path, _EXCLUSIVE, 0o666)
    try:
        return path, stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes have ended; those of live ones stay."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and _is_stale(entry, match["host"], int(match["pid"])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def host_mark() -> str:
    """Return eight digits that stand for this machine."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def is_running(pid: int) -> bool:
    """Return whether a process of this machine is running; True where that cannot be known."""
    if os.name == "nt":  # asking would end it
        return True
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_stale(entry: os.DirEntry, host: str | None, pid: int) -> bool:
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return False
    if host in (None, host_mark()):
        return not is_running(pid)
    return time.time() - status.st_mtime > ALIVE
