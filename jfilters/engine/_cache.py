"""Readings kept on disk, so that what a scan has finished is never read again.

A reading is filed under the content of its checkpoint (size and sha256; for a remote one what its store
tells) and under the options that it depends on. A checkpoint of which all files have the path, size and
times of the last scan is found without a look at its bytes; one that was moved, copied or touched is found
by its hash.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import zlib
from pathlib import Path

from ..errors import CheckpointError
from ..scans.internal import READ
from ._digest import digest
from ._opening import checkpoint_at
from ._options import Options
from ._plan import Companion, Entry, within
from ._reading import Reading, dump, load

VERSION = 7
"""Of the method: raise it with every change to what a reading holds or how its numbers come about."""

_RELEVANT = (
    *("spatial", "bins", "sparse_eps", "sparse_strict", "axes", "quality", "orthogonality"),
    *("population", "dtype", "sample", "network", "standardize"),
)


class Cache:
    """Readings in a folder of small files; one that is damaged counts as not there.

    Nothing is lost with the folder but time. A disk that is full or not to be written ends the keeping,
    not the scan.
    """

    def __init__(self, folder: Path, options: Options):
        self._readings, self._names = folder / "readings", folder / "names"
        relevant = [VERSION, *(getattr(options, name) for name in _RELEVANT)]
        self._settings = hashlib.sha256(repr(relevant).encode()).hexdigest()[:8]
        self._options = options

    def find(self, entry: Entry) -> Reading | None:
        """What is known of a checkpoint, with histograms in the bins of its last scan, if it has any."""
        return self._find_by_name(entry) or self._find_by_hash(entry)

    def keep(self, reading: Reading) -> None:
        """File a reading; of one that failed nothing is kept, so that it is tried again."""
        entry = reading.entry
        content = _content(entry)
        if entry.status not in (*READ, "empty") or content is None:
            return
        with contextlib.suppress(OSError):
            _write(self._place(content), dump(reading))
            self._note(entry, content)

    def _find_by_name(self, entry: Entry) -> Reading | None:
        """The reading of a checkpoint all files of which are as they were."""
        noted = None if entry.identity is None else _read(self._name(entry))
        if noted is None:
            return None
        content, *told = json.loads(noted)
        known = tuple(Companion(*companion) for companion in told)
        found = tuple(Companion.beside(entry.path, companion.name) for companion in known)
        entry = dataclasses.replace(entry, companions=found)
        return self._load(entry, content) if found == known and entry.version else None

    def _find_by_hash(self, entry: Entry) -> Reading | None:
        """The reading of a local checkpoint, hashed only where there is one of the same size."""
        path, hashes = entry.path, self._options.sha256
        if not (hashes and isinstance(path, Path) and str(entry.bytes) in self._sizes):
            return None
        with contextlib.suppress(OSError, CheckpointError):
            if reading := self._load_hashed(entry, path):
                return reading
            # Its first file alone is not what one of several files is known by.
            whole = entry.with_companions_of(checkpoint_at(entry.path, self._options))
            return self._load_hashed(whole, path) if whole.companions else None
        return None

    @functools.cached_property
    def _sizes(self) -> set[str]:
        """The sizes of the checkpoints that had readings when they were first asked for."""
        places = self._readings.glob(f"*/*-{self._settings}")
        return {place.name.partition("-")[0] for place in places}

    def _load_hashed(self, entry: Entry, path: Path) -> Reading | None:
        content = _filed(entry, digest(path, entry.companions))
        reading = self._load(entry, content)
        if reading is not None:
            self._note(entry, content)
        return reading

    def _load(self, entry: Entry, content: str) -> Reading | None:
        data = _read(self._place(content))
        if data is None or not within(entry, self._options):
            return None
        with contextlib.suppress(ValueError):
            reading = load(data, entry)
            found = dataclasses.replace(reading.entry, companions=entry.companions)
            return dataclasses.replace(reading, entry=found)
        return None

    def _note(self, entry: Entry, content: str) -> None:
        """Write down which content a checkpoint has while its files are as they are."""
        if entry.version is not None:
            companions = map(dataclasses.astuple, entry.companions)
            name, noted = self._name(entry), json.dumps([content, *companions]).encode()
            if _read(name) != noted:
                _write(name, noted)

    def _place(self, content: str) -> Path:
        return self._readings / content[-2:] / f"{content}-{self._settings}"

    def _name(self, entry: Entry) -> Path:
        told = f"{VERSION}\0{entry.path}\0{entry.identity}"
        name = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
        return self._names / name[:2] / name


def _content(entry: Entry) -> str | None:
    told = entry.sha256
    if told is None and entry.version is not None:
        told = hashlib.sha256(f"{entry.path}\0{entry.version}".encode("utf-8", "surrogateescape"))
        told = told.hexdigest()
    return None if told is None else _filed(entry, told)


def _filed(entry: Entry, told: str) -> str:
    return f"{entry.bytes}-{told}"


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
