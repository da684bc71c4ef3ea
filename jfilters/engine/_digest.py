"""The identity of a checkpoint's content."""

import hashlib
from pathlib import Path

from ._plan import files_of


def digest(path: Path) -> str:
    """sha256 of a file; of a folder, that of its files' names and digests in a fixed order."""
    if path.is_dir():
        whole = hashlib.sha256()
        for file in files_of(path):
            name = file.relative_to(path).as_posix()
            whole.update(f"{name}\0{digest(file)}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
