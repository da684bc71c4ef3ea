"""The identity of a checkpoint's content."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ._plan import Companion, files_of


def digest(path: Path, companions: Sequence[Companion] = ()) -> str:
    """Return the sha256 of a file; of several files, that of their names and digests in a fixed order.

    It identifies the content of a checkpoint: a copy under another path has the same digest. Names of a
    folder's files are relative to the folder. Names of `companions` are relative to the folder of `path`,
    whose own name does not count. It reads all bytes.
    """
    if path.is_dir():
        return _combined((file.relative_to(path).as_posix(), file) for file in files_of(path))
    if companions:
        return _combined([("", path), *((x.name, path.parent / x.name) for x in companions)])
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _combined(files: Iterable[tuple[str, Path]]) -> str:
    sha256 = hashlib.sha256()
    for name, file in files:
        sha256.update(f"{name}\0{digest(file)}\n".encode("utf-8", "surrogateescape"))
    return sha256.hexdigest()
