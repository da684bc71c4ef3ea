"""Folders of output: made, synced, and cleared of files that a new scan does not write."""

import contextlib
import os
from pathlib import Path

from ..io import Location
from ._failures import write_errors
from ._place import is_object_store
from ._remote import remote_errors


def make_folder(folder: Location) -> None:
    """Make a folder, with those above it; an object store has none to make."""
    if isinstance(folder, Path):
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    elif not is_object_store(folder):
        with remote_errors(folder):
            folder.fs.makedirs(folder.path, exist_ok=True)


def remove(path: Location) -> None:
    """Remove a file if it is there."""
    if isinstance(path, Path):
        path.unlink(missing_ok=True)
        return
    with remote_errors(path), contextlib.suppress(FileNotFoundError):
        path.fs.rm_file(path.path)


def sync_folder(folder: Path) -> None:
    """Let a new name in a folder survive a power failure, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
