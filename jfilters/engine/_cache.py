"""The statistics of checkpoints on disk, so that what a scan has finished is never read again.

They are filed under the content of the checkpoint (size and sha256; for a remote one the version that its
store reports; for a network in memory the sha256 of its arrays) and under the options that they depend on.
Where all files have the path, size and times of the last scan, no bytes of the checkpoint are read. One
that was moved, copied or touched is identified by its hash.

What lies there is not trusted: an entry that is not what such a checkpoint can have counts as missing.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._files import Location
from ..errors import CheckpointError
from ..scans.internal import READ
from ._cache_check import checked
from ._cache_files import Name, cache_files
from ._checkpoint_statistics import CheckpointStatistics, dump, load
from ._digest import digest
from ._opening import checkpoint_at
from ._options import Options
from ._plan import Companion, Entry, within

_UNFIT = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)
"""Errors of content that is not what `dump` writes, whoever wrote it."""

VERSION = 9
"""Of the method: raise it with every change to the content of the statistics or to their numbers."""

_RELEVANT = (
    *("spatial", "bins", "sparse_eps", "sparse_strict", "axes", "quality", "orthogonality"),
    *("population", "dtype", "sample", "network", "standardize"),
)


class Cache:
    """Statistics in a folder of small files; a damaged file counts as missing.

    Deleting the folder costs only time. A disk that is full or read-only ends the caching, not the scan.
    At a URL the folder is listed once, and files are read ahead, many at a time.
    """

    def __init__(self, folder: Location, options: Options):
        self._files = cache_files(folder)
        relevant = [VERSION, *(getattr(options, name) for name in _RELEVANT)]
        self._settings = hashlib.sha256(repr(relevant).encode()).hexdigest()[:8]
        self._options = options

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Note which checkpoints `find` is asked for next, so that a remote cache is read ahead."""
        if not self._files.is_remote:
            return
        names = [self._name(entry) for entry in entries if entry.identity is not None]
        self._files.expect(names)
        contents = (_content_of(self._files.peek(name)) for name in names)
        self._files.expect([self._path(content) for content in contents if content])

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
            self._files.write(
                {self._path(content): dump(statistics), **self._notes(entry, content)}
            )

    def _find_by_name(self, entry: Entry) -> CheckpointStatistics | None:
        """The statistics of a checkpoint whose files are all unchanged."""
        note = None if entry.identity is None else self._files.read(self._name(entry))
        if (content := _content_of(note)) is None or not content.startswith(f"{entry.bytes}-"):
            return None
        former = _companions_of(note)
        if former is None or any(_leaves(companion.name) for companion in former):
            return None
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
        paths = self._files.names("readings")
        return {name.partition("-")[0] for name in paths if name.endswith(f"-{self._settings}")}

    def _load_hashed(self, entry: Entry, path: Path) -> CheckpointStatistics | None:
        content = _content_name(entry, digest(path, entry.companions))
        statistics = self._load(entry, content)
        if statistics is not None:
            with contextlib.suppress(OSError):
                self._files.write(self._notes(entry, content))
        return statistics

    def _load(self, entry: Entry, content: str) -> CheckpointStatistics | None:
        data = self._files.read(self._path(content))
        if data is None or not within(entry, self._options):
            return None
        with contextlib.suppress(*_UNFIT):
            statistics = checked(load(data, entry), content.partition("-")[2], self._options)
            entry = dataclasses.replace(statistics.entry, companions=entry.companions)
            return dataclasses.replace(statistics, entry=entry)
        return None

    def _notes(self, entry: Entry, content: str) -> dict[Name, bytes]:
        """The content of a checkpoint, to be filed under the present state of its files; or nothing."""
        if entry.version is None:
            return {}
        companions = map(dataclasses.astuple, entry.companions)
        name, note = self._name(entry), json.dumps([content, *companions]).encode()
        return {} if self._files.read(name) == note else {name: note}

    def _path(self, content: str) -> Name:
        return "readings", content[-2:], f"{content}-{self._settings}"

    def _name(self, entry: Entry) -> Name:
        state = f"{VERSION}\0{entry.path}\0{entry.identity}"
        name = hashlib.sha256(state.encode("utf-8", "surrogateescape")).hexdigest()
        return "names", name[:2], name


def _content(entry: Entry) -> str | None:
    sha256 = entry.sha256
    if sha256 is None and entry.version is not None:
        version = f"{entry.path}\0{entry.version}".encode("utf-8", "surrogateescape")
        sha256 = hashlib.sha256(version).hexdigest()
    return None if sha256 is None else _content_name(entry, sha256)


def _content_name(entry: Entry, sha256: str) -> str:
    return f"{entry.bytes}-{sha256}"


def _content_of(note: bytes | None) -> str | None:
    """The content that a note tells of, None for a damaged one."""
    fields = _fields(note)
    content = fields[0] if fields else None
    return content if isinstance(content, str) and _CONTENT.fullmatch(content) else None


def _companions_of(note: bytes | None) -> tuple[Companion, ...] | None:
    """The companions that a note tells of, None for a damaged one."""
    fields = _fields(note)[1:]
    if all(isinstance(part, list) and _kinds(part) in _COMPANIONS for part in fields):
        return tuple(Companion(*part) for part in fields)
    return None


def _fields(note: bytes | None) -> list[Any]:
    with contextlib.suppress(ValueError, RecursionError):
        fields = json.loads(note or b"null")
        return fields if isinstance(fields, list) else []
    return []


def _kinds(fields: list[Any]) -> tuple[type, ...]:
    return tuple(map(type, fields))


def _leaves(name: str) -> bool:
    """Return whether a name leads out of the reach of a checkpoint's own files."""
    return os.path.isabs(name) or "\0" in name or "://" in name


_CONTENT = re.compile(r"\d{1,20}-[0-9a-f]{64}")
_COMPANIONS = ((str, int, str), (str, int, type(None)))
