"""Files that appear whole or not at all, whenever the power goes or the disk fills up."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..io import Location
from ._failures import write_errors
from ._folders import sync_folder
from ._place import place
from ._remote import upload
from ._temporary import create

_STREAMS = ("/dev/", "/proc/")


@contextlib.contextmanager
def written_whole(path: Location | str | os.PathLike[str]) -> Iterator[Path]:
    """Return a temporary path, whose file takes its place when the block ends without an error.

    The temporary file lies beside a local `path`, and in the system's folder for a URL. A link at `path`
    is replaced, not followed. A device or a pipe, such as /dev/stdout, receives the bytes. The umask says
    who may read the file, whatever writes it.

    Raises OSError with the path and the system's reason if it cannot be written, whatever the writer
    raises in the block.
    """
    target = place(path)
    if isinstance(target, Path) and not _is_stream(target):
        with _beside(target) as temporary:
            yield temporary
    else:
        with _aside(target) as temporary:
            yield temporary


def write_text(path: Location | str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode())


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with write_errors(path):
        temporary, mode = _created(path)
    try:
        with write_errors(path, temporary):
            yield temporary
            _finish(temporary, mode)
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _aside(target: Location) -> Iterator[Path]:
    """A temporary file in the system's folder, whose bytes go to a URL, a device or a pipe."""
    base = tempfile.gettempdir()
    with write_errors(base):
        folder = tempfile.mkdtemp(prefix="jfilters-")
    try:
        temporary = Path(folder, "output")
        with write_errors(base, temporary):
            yield temporary
        if isinstance(target, Path):
            with write_errors(target), temporary.open("rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            upload(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _created(path: Path) -> tuple[Path, int]:
    try:
        return create(path.parent, path.name)
    except OSError as error:
        raise OSError(error.errno, error.strerror) from error


def _finish(temporary: Path, mode: int) -> None:
    """Sync a file that a library has written, or put in the place of the empty one, and set its mode."""
    descriptor = os.open(temporary, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_stream(path: Path) -> bool:
    """Return whether this is a device or a pipe, in whose place no file must come."""
    if os.name == "posix" and f"{path.absolute()}".startswith(_STREAMS):
        return not str(path.absolute()).startswith("/dev/shm/")
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
