"""Readings kept on disk, so that what a scan has finished is never read again.

A reading is filed under the content of its checkpoint (size and sha256; for a remote one what its store
tells) and under the options that it depends on. A checkpoint whose path, size and times are those of
the last scan is found without a look at its bytes; one that was moved, copied or touched is found by its
hash.
"""

import contextlib
import dataclasses
import hashlib
import os
import zlib
from pathlib import Path

from ._digest import digest
from ._options import Options
from ._plan import Entry
from ._reading import Reading, dump, load

VERSION = 1
"""Of the method: raise it with every change to what a reading holds or how its numbers come about."""

_RELEVANT = ("spatial", "bins", "sparse_eps", "sparse_strict", "axes", "quality", "orthogonality")


class Cache:
    """Readings in a folder of small files; one that is damaged counts as not there.

    Nothing is lost with the folder but time. A disk that is full or not to be written ends the keeping,
    not the scan.
    """

    def __init__(self, folder: Path, options: Options):
        self._readings, self._names = folder / "readings", folder / "names"
        relevant = [VERSION, *(getattr(options, name) for name in _RELEVANT)]
        self._settings = hashlib.sha256(repr(relevant).encode()).hexdigest()[:8]
        self._hashes = options.sha256
        self._sizes: set[str] | None = None

    def find(self, entry: Entry) -> Reading | None:
        """What is known of a checkpoint, with histograms in the bins of its last scan, if it has any."""
        content = self._known_content(entry) or self._content_by_hash(entry)
        if content is None:
            return None
        data = _read(self._place(content))
        if data is None:
            return None
        with contextlib.suppress(ValueError):
            return load(data, entry)
        return None

    def keep(self, reading: Reading) -> None:
        """File a reading; of one that failed nothing is kept, so that it is tried again."""
        entry = reading.entry
        content = _content(entry)
        if entry.status not in ("ok", "empty") or content is None:
            return
        with contextlib.suppress(OSError):
            _write(self._place(content), dump(reading))
            if entry.identity is not None:
                _write(self._name(entry), content.encode())

    def _known_content(self, entry: Entry) -> str | None:
        if entry.identity is None:
            return None
        name = _read(self._name(entry))
        return None if name is None else name.decode()

    def _content_by_hash(self, entry: Entry) -> str | None:
        """The content of a local file, hashed only where a reading of the same size is there."""
        if not self._hashes or not isinstance(entry.path, Path):
            return None
        if self._sizes is None:
            self._sizes = {place.name.partition("-")[0] for place in self._readings.glob("*/*")}
        if str(entry.bytes) not in self._sizes:
            return None
        with contextlib.suppress(OSError):
            return _content(dataclasses.replace(entry, sha256=digest(entry.path)))
        return None

    def _place(self, content: str) -> Path:
        return self._readings / content[-2:] / f"{content}-{self._settings}"

    def _name(self, entry: Entry) -> Path:
        told = f"{entry.path}\0{entry.identity}"
        name = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
        return self._names / name[:2] / name


def _content(entry: Entry) -> str | None:
    told = entry.sha256
    if told is None and entry.identity is not None:
        told = hashlib.sha256(f"{entry.path}\0{entry.identity}".encode("utf-8", "surrogateescape"))
        told = told.hexdigest()
    return None if told is None else f"{entry.bytes}-{told}"


def _write(path: Path, data: bytes) -> None:
    """Put data in place at once, with a checksum: it is not forced to the disk, and power may fail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(zlib.crc32(data).to_bytes(4, "little") + data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        whole = path.read_bytes()
        data = whole[4:]
        if whole[:4] == zlib.crc32(data).to_bytes(4, "little"):
            return data
    return None
