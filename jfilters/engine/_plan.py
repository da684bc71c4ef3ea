"""The checkpoints that there are to scan, each as an entry.

Nothing vanishes: what cannot be opened becomes an entry with its reason, what is no checkpoint is listed.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._traced import kind_of
from ..converters import Checkpoint, Location, location
from ..converters.internal import (
    Metadata,
    base_name,
    files_below,
    identity,
    is_path,
    name_below,
    remote_bytes,
    steps,
)
from ..errors import CheckpointError, UnknownFormatError, UnreadableError, printable
from ..layers import Layer
from ..scans.internal import FAILURES, Status
from ._options import Options
from ._walk import find_checkpoints, leads_to_folder

if TYPE_CHECKING:
    from ..converters.internal import MemoryNetwork

_FORMATS = "`jfilters formats` lists what can be read"
_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer of the chosen spatial shape; `shape` is (out, in, *spatial).

    `member` is the network that it belongs to, where the checkpoint is a population of them. `metadata` is
    what is told about it beside; all layers of a checkpoint have the same columns.
    """

    layer: Layer
    shape: tuple[int, ...]
    member: str = ""
    metadata: Metadata = dataclasses.field(default_factory=dict)

    @property
    def n_kernels(self) -> int:
        """Kernels in the layer."""
        return self.shape[0] * self.shape[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Companion:
    """A further file of a checkpoint; `name` is relative to the folder of the first."""

    name: str
    bytes: int
    identity: str | None

    @classmethod
    def beside(cls, path: Location, name: str) -> "Companion":
        """The file of this name beside the first file of a checkpoint, as it is now."""
        file = path.parent / name
        return cls(name, identity=identity(file), bytes=size_of(file))


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One checkpoint of a scan: what it is, what came of it, and its layers of the chosen shape.

    `step` is set for the step folders of a checkpoint manager. `bytes` and `identity`, which changes with
    the content, are those of `path` alone; `companions`, known when the checkpoint was opened, are the
    further files that it lies in. `updates` and `batchnorm` are what BatchNorm counted, and whether it left
    running statistics, where the file tells. `memory` is a network in memory, which lies at no path.
    """

    model: str
    path: Location
    step: int | None = None
    bytes: int = 0
    format: str | None = None
    identity: str | None = None
    sha256: str | None = None
    status: Status = "ok"
    reason: str | None = None
    layers: tuple[PlannedLayer, ...] = ()
    skipped: tuple[tuple[str, int], ...] = ()
    companions: tuple[Companion, ...] = ()
    updates: int | None = None
    batchnorm: bool | None = None
    memory: "MemoryNetwork | None" = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def total_bytes(self) -> int:
        """Bytes of all its files."""
        return self.bytes + sum(companion.bytes for companion in self.companions)

    @property
    def version(self) -> str | None:
        """A text that changes with any of its files; None if one of them would not show it."""
        identities = [self.identity, *(companion.identity for companion in self.companions)]
        present = [identity for identity in identities if identity is not None]
        return " ".join(present) if len(present) == len(identities) else None

    def model_of(self, member: str) -> str:
        """The name in every table of the checkpoint, or of a network in it."""
        return f"{self.model}/{member}" if member else self.model

    def with_companions_of(self, checkpoint: Checkpoint) -> "Entry":
        """The same with the files that the opened checkpoint names, as they are now."""
        names = (name_below(file, self.path.parent) for file in checkpoint.companions)
        companions = tuple(Companion.beside(self.path, name) for name in names)
        return dataclasses.replace(self, companions=companions)

    @property
    def has_failed(self) -> bool:
        """True if it could not be read."""
        return self.status in FAILURES

    def without(self, error: CheckpointError) -> "Entry":
        """The same checkpoint as one that failed with `error`."""
        return dataclasses.replace(
            self, status=error.status, reason=printable(str(error)), layers=()
        )


def checkpoints_at(paths: Location | str | Sequence[Location | str]) -> list[Location]:
    """Return the locations of one path or of several. Raises ValueError for none."""
    several = paths if isinstance(paths, Sequence) and not isinstance(paths, str) else [paths]
    for path in several:
        if not is_path(path):
            kind = kind_of(path)
            raise ValueError(f"expected paths, or a dict of networks by their names, got {kind}")
    roots = [location(path) for path in several]
    if not roots:
        raise ValueError("expected the path of a folder or of checkpoints, got none")
    return roots


def plan(roots: Sequence[Location]) -> tuple[Location, list[Entry], list[Location]]:
    """Return the folder that names are relative to, every candidate as an entry, and what is ignored.

    Several roots are scanned as one folder: that which holds them all. Raises UnknownFormatError where
    there is no candidate.
    """
    roots = list(dict.fromkeys(roots))
    folder = roots[0] if len(roots) == 1 else _common_folder(roots)
    entries: dict[Location, Entry] = {}
    ignored: list[Location] = []
    for root in roots:
        candidates, others = find_checkpoints(root)
        entries |= {entry.path: entry for entry in planned(folder, candidates)}
        ignored += others
    if not entries:
        raise UnknownFormatError(_none_among(ignored), path=folder, remedy=_FORMATS)
    return folder, list(entries.values()), ignored


def _none_among(ignored: Sequence[Location]) -> str:
    """Return the sentence for a folder without checkpoints."""
    names = ", ".join(printable(base_name(path)) for path in ignored[:_NAMED])
    files = "1 file" if len(ignored) == 1 else f"{len(ignored):,} files"
    which = f"{files}, which are ignored: {names}" if ignored else "nothing, hidden names aside"
    return f"expected checkpoints, found {which}" + (", ..." if len(ignored) > _NAMED else "")


def listed_checkpoints(places: Sequence[Location]) -> tuple[list[Entry], list[Location]]:
    """Return the checkpoints at several places as a scan of them names them, and what is ignored."""
    _, entries, ignored = plan(places)
    return entries, ignored


def planned(root: Location, candidates: Sequence[Location]) -> Iterator[Entry]:
    """Every candidate as an entry, not opened yet."""
    step_of = _steps(candidates)
    for path in candidates:
        step, size = step_of.get(path), size_of(path)
        yield Entry(model_name(path, root), path, step, size, identity=identity(path))


def _common_folder(roots: Sequence[Location]) -> Location:
    """Return the folder that holds all roots; the first root where they are on different file systems."""
    paths = [Path(os.path.abspath(root)) for root in roots if isinstance(root, Path)]
    if len(paths) < len(roots):
        return roots[0]
    return Path(os.path.commonpath([path.parent for path in paths]))


def within(entry: Entry, options: Options) -> bool:
    """Return True for a checkpoint that is no larger than the options allow."""
    return options.max_bytes is None or entry.total_bytes <= options.max_bytes


def model_name(path: Location, root: Location) -> str:
    """The name of a checkpoint in every table: its path relative to the scanned folder."""
    if path == root:
        return printable(base_name(path))
    if isinstance(path, Path) and isinstance(root, Path) and not path.is_relative_to(root):
        return printable(Path(os.path.relpath(path, root)).as_posix())
    return printable(name_below(path, root))


def size_of(path: Location) -> int:
    """Bytes of a file, or of all files of a folder."""
    with contextlib.suppress(OSError, UnreadableError):
        if isinstance(path, Path):
            return sum(os.stat(file).st_size for file in files_of(path))
        return remote_bytes(path)
    return 0  # the entry says why it cannot be read


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files of a checkpoint folder in a fixed order. Raises OSError."""
    return sorted(files_below(path)) if os.path.isdir(path) else [path]


def _steps(candidates: Sequence[Location]) -> dict[Location, int]:
    managers = {path.parent for path in candidates if leads_to_folder(path)}
    return {path: step for manager in managers for step, path in _steps_in(manager)}


def _steps_in(manager: Location) -> list[tuple[int, Location]]:
    # One may be allowed to read a folder but not to list that above it.
    with contextlib.suppress(UnreadableError):
        return steps(manager)
    return []
