"""The statistics of checkpoints on disk, so that what a scan has finished is never read again.

They are filed under the content of the checkpoint (size and sha256; for a remote one the version that its
store reports; for a network in memory the sha256 of its arrays) and under the options that they depend on.
Where all files have the path, size and times of the last scan, no bytes of the checkpoint are read. One
that was moved, copied or touched is identified by its hash.
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
from ._checkpoint_statistics import CheckpointStatistics, dump, load
from ._digest import digest
from ._opening import checkpoint_at
from ._options import Options
from ._plan import Companion, Entry, within

VERSION = 9
"""Of the method: raise it with every change to the content of the statistics or to their numbers."""

_RELEVANT = (
    *("spatial", "bins", "sparse_eps", "sparse_strict", "axes", "quality", "orthogonality"),
    *("population", "dtype", "sample", "network", "standardize"),
)


class Cache:
    """Statistics in a folder of small files; a damaged file counts as missing.

    Deleting the folder costs only time. A disk that is full or read-only ends the caching, not the scan.
    """

    def __init__(self, folder: Path, options: Options):
        self._results, self._names = folder / "readings", folder / "names"
        relevant = [VERSION, *(getattr(options, name) for name in _RELEVANT)]
        self._settings = hashlib.sha256(repr(relevant).encode()).hexdigest()[:8]
        self._options = options

    def find(self, entry: Entry) -> CheckpointStatistics | None:
        """Return the cached statistics of a checkpoint, None without any.

        Histograms are in the bins of its last scan, or missing.
        """
        return self._find_by_name(entry) or self._find_by_hash(entry)

    def put(self, statistics: CheckpointStatistics) -> None:
        """Write statistics, but not those of a checkpoint that failed: it is tried again."""
        entry = statistics.entry
        content = _content(entry)
        if entry.status not in (*READ, "empty") or content is None:
            return
        with contextlib.suppress(OSError):
            _write(self._path(content), dump(statistics))
            self._note(entry, content)

    def _find_by_name(self, entry: Entry) -> CheckpointStatistics | None:
        """The statistics of a checkpoint whose files are all unchanged."""
        note = None if entry.identity is None else _read(self._name(entry))
        if note is None:
            return None
        content, *fields = json.loads(note)
        former = tuple(Companion(*companion) for companion in fields)
        current = tuple(Companion.beside(entry.path, companion.name) for companion in former)
        entry = dataclasses.replace(entry, companions=current)
        return self._load(entry, content) if current == former and entry.version else None

    def _find_by_hash(self, entry: Entry) -> CheckpointStatistics | None:
        """The statistics of a local checkpoint, which is hashed only if an equal size is cached."""
        path, hashes = entry.path, self._options.sha256
        if not (hashes and isinstance(path, Path) and str(entry.bytes) in self._sizes):
            return None
        if entry.memory is not None:
            sha256 = entry.memory.sha256()
            return None if sha256 is None else self._load(entry, _content_name(entry, sha256))
        with contextlib.suppress(OSError, CheckpointError):
            if statistics := self._load_hashed(entry, path):
                return statistics
            # A checkpoint of several files is cached under the hash of them all.
            entry = entry.with_companions_of(checkpoint_at(entry.path, self._options))
            return self._load_hashed(entry, path) if entry.companions else None
        return None

    @functools.cached_property
    def _sizes(self) -> set[str]:
        """The sizes of the cached checkpoints at the time of the first call."""
        paths = self._results.glob(f"*/*-{self._settings}")
        return {path.name.partition("-")[0] for path in paths}

    def _load_hashed(self, entry: Entry, path: Path) -> CheckpointStatistics | None:
        content = _content_name(entry, digest(path, entry.companions))
        statistics = self._load(entry, content)
        if statistics is not None:
            self._note(entry, content)
        return statistics

    def _load(self, entry: Entry, content: str) -> CheckpointStatistics | None:
        data = _read(self._path(content))
        if data is None or not within(entry, self._options):
            return None
        with contextlib.suppress(ValueError):
            statistics = load(data, entry)
            entry = dataclasses.replace(statistics.entry, companions=entry.companions)
            return dataclasses.replace(statistics, entry=entry)
        return None

    def _note(self, entry: Entry, content: str) -> None:
        """Record the content of a checkpoint under the present state of its files."""
        if entry.version is not None:
            companions = map(dataclasses.astuple, entry.companions)
            name, note = self._name(entry), json.dumps([content, *companions]).encode()
            if _read(name) != note:
                _write(name, note)

    def _path(self, content: str) -> Path:
        return self._results / content[-2:] / f"{content}-{self._settings}"

    def _name(self, entry: Entry) -> Path:
        state = f"{VERSION}\0{entry.path}\0{entry.identity}"
        name = hashlib.sha256(state.encode("utf-8", "surrogateescape")).hexdigest()
        return self._names / name[:2] / name


def _content(entry: Entry) -> str | None:
    sha256 = entry.sha256
    if sha256 is None and entry.version is not None:
        version = f"{entry.path}\0{entry.version}".encode("utf-8", "surrogateescape")
        sha256 = hashlib.sha256(version).hexdigest()
    return None if sha256 is None else _content_name(entry, sha256)


def _content_name(entry: Entry, sha256: str) -> str:
    return f"{entry.bytes}-{sha256}"


def _write(path: Path, data: bytes) -> None:
    """Replace a file atomically, with a checksum: it is not synced to the disk, and power may fail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(zlib.crc32(data).to_bytes(4, "little") + data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        data = content[4:]
        if content[:4] == zlib.crc32(data).to_bytes(4, "little"):
            return data
    return None
