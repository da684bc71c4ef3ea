"""Remote folders of which a library wants real files: copied here, and removed when nobody reads them."""

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..errors import CheckpointError, UnreadableError
from ._location import Location, base_name, children, is_folder, name_below
from ._source import ByteSource, open_source

LARGEST_COPY = 1 << 36
"""Bytes of a folder that is copied."""

MAX_FILES = 100_000
"""Files of a folder that is copied."""

_PIECE = 1 << 23


class LocalCopy:
    """A copy of a remote folder that lasts as long as this object, and no longer than the process.

    Raises UnreadableError if it does not come, CheckpointError if it is too large.
    """

    def __init__(self, folder: Location):
        self.origin = folder
        base = Path(tempfile.mkdtemp(prefix="jfilters-"))
        weakref.finalize(self, shutil.rmtree, base, ignore_errors=True)
        # The name tells a step, and whether it is finished.
        self.path = base / base_name(folder)
        self._left = LARGEST_COPY
        for file in _files(folder):
            self._copy(file)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Let errors about the copy name what it is a copy of."""
        try:
            yield
        except CheckpointError as error:
            path = error.path.replace(str(self.path), str(self.origin).rstrip("/"))
            renamed = type(error)(error.reason, path=path, tensor=error.tensor, remedy=error.remedy)
            raise renamed from error

    def _copy(self, file: Location) -> None:
        below = PurePosixPath(name_below(file, self.origin))
        if ".." in below.parts or below.is_absolute():
            raise CheckpointError("a name that leaves the folder", path=file)
        source, target = open_source(file), self.path / below
        self._left -= source.size
        if self._left < 0:
            remedy = "copy it here and give that path"
            reason = f"a folder of more than {LARGEST_COPY:,} bytes"
            raise CheckpointError(reason, path=self.origin, remedy=remedy)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(source, target)
        except OSError as error:
            reason = f"no room for a local copy ({error.strerror})"
            raise UnreadableError(reason, path=self.origin) from error


def _files(folder: Location) -> Iterator[Location]:
    pending, count = [folder], 0
    while pending:
        for child in children(pending.pop()):
            count += 1
            if count > MAX_FILES:
                raise CheckpointError(f"more than {MAX_FILES:,} files", path=folder)
            if is_folder(child):
                pending.append(child)
            else:
                yield child


def _write(source: ByteSource, target: Path) -> None:
    with target.open("wb") as file:
        for start in range(0, source.size, _PIECE):
            file.write(source.read(start, start + _PIECE))
