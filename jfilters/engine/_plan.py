"""What there is to scan: the checkpoints under a folder and, from metadata alone, their layers.

Nothing vanishes: what cannot be opened becomes an entry with its reason, what is no checkpoint is listed.
"""

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..converters import (
    FORMATS,
    Checkpoint,
    Location,
    StoredLayer,
    base_name,
    children,
    detect,
    identity,
    is_file,
    is_folder,
    name_below,
    open_checkpoint,
    remote_bytes,
    steps,
)
from ..errors import CheckpointError, UnknownFormatError, UnreadableError, printable
from ..kernels import Layer
from ._options import Options

_DIGITS = re.compile(r"(\d+)")

Status = Literal["ok", "empty", "refused", "failed"]


@dataclasses.dataclass(frozen=True)
class PlannedLayer:
    """One layer of the chosen spatial shape; `shape` is (out, in, *spatial)."""

    layer: Layer
    shape: tuple[int, ...]

    @property
    def n_kernels(self) -> int:
        """Kernels in the layer."""
        return self.shape[0] * self.shape[1]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One checkpoint of a scan: what it is, what came of it, and its layers of the chosen shape.

    `step` is set for the step folders of a checkpoint manager. `identity` changes with the content.
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

    def without(self, error: CheckpointError) -> "Entry":
        """The same checkpoint, lost to `error`."""
        return dataclasses.replace(
            self, status=error.status, reason=printable(str(error)), layers=()
        )


def find_checkpoints(root: Location) -> tuple[list[Location], list[Location]]:
    """The candidate files and folders under `root`, and the files that are no checkpoint, both sorted.

    A folder that is itself one checkpoint (sharded, or a step folder) is not entered. Hidden names are
    passed over. A file whose content is unknown counts as a candidate if its suffix promises weights.
    """
    if not is_folder(root):
        if not (root.exists() if isinstance(root, Path) else is_file(root)):
            raise UnreadableError("no such file or folder", path=root)
        return [root], []
    if _is_checkpoint_folder(root):
        return [root], []
    candidates: list[Location] = []
    ignored: list[Location] = []
    for path in _walk(root, {_target(root)}):
        (candidates if _is_candidate(path) else ignored).append(path)
    return candidates, ignored


def planned(root: Location, candidates: Sequence[Location]) -> Iterator[Entry]:
    """Every candidate as an entry, not opened yet."""
    step_of = _steps(candidates)
    for path in candidates:
        step, size = step_of.get(path), size_of(path)
        yield Entry(model_name(path, root), path, step, size, identity=identity(path))


def opened(entry: Entry, options: Options) -> tuple[Entry, list[StoredLayer]]:
    """The entry with what its metadata tells, and its layers of the chosen shape, not read yet.

    Raises CheckpointError if it cannot be read, or is larger than was allowed.
    """
    _check_size(entry, options.max_bytes)
    checkpoint = open_checkpoint(entry.path, axes=options.axes)
    stored = chosen_layers(checkpoint, options.spatial)
    return _described(entry, checkpoint, stored, options.spatial), stored


def chosen_layers(checkpoint: Checkpoint, spatial: tuple[int, ...]) -> list[StoredLayer]:
    """The layers of one spatial shape, in the checkpoint's order."""
    return [layer for layer in checkpoint.layers if layer.shape[2:] == spatial]


def model_name(path: Location, root: Location) -> str:
    """The name of a checkpoint in every table: its path relative to the scanned folder."""
    return printable(base_name(path) if path == root else name_below(path, root))


def size_of(path: Location) -> int:
    """Bytes of a file, or of all files of a folder."""
    if isinstance(path, Path):
        return sum(file.stat().st_size for file in files_of(path) if file.exists())
    with contextlib.suppress(UnreadableError):
        return remote_bytes(path)
    return 0  # the entry says why it cannot be read


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files of a checkpoint folder in a fixed order."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _check_size(entry: Entry, most: int | None) -> None:
    if most is not None and entry.bytes > most:
        reason = f"{entry.bytes} bytes, more than the {most} that were allowed"
        raise CheckpointError(reason, path=entry.path, remedy="raise --max-bytes to read it")


def _described(
    entry: Entry, checkpoint: Checkpoint, stored: Sequence[StoredLayer], spatial: tuple[int, ...]
) -> Entry:
    layers = tuple(PlannedLayer(x.layer, x.shape) for x in stored)
    reasons = Counter(skipped.reason for skipped in checkpoint.skipped)
    reasons.update(_size(layer) for layer in checkpoint.layers if layer.shape[2:] != spatial)
    found = dataclasses.replace(
        entry, format=checkpoint.format, layers=layers, skipped=tuple(reasons.most_common())
    )
    if any(layer.n_kernels for layer in layers):
        return found
    return dataclasses.replace(
        found, status="empty", reason=_why_empty(reasons, spatial), layers=()
    )


def _steps(candidates: Sequence[Location]) -> dict[Location, int]:
    managers = {path.parent for path in candidates if is_folder(path)}
    return {path: step for manager in managers for step, path in _steps_in(manager)}


def _steps_in(manager: Location) -> list[tuple[int, Location]]:
    # One may be allowed to read a folder but not to list that above it.
    with contextlib.suppress(UnreadableError):
        return steps(manager)
    return []


def _size(layer: StoredLayer) -> str:
    extents = layer.shape[2:]
    return f"{'x'.join(map(str, extents))} convolution" + (" (1-D)" if len(extents) == 1 else "")


def _why_empty(reasons: Counter[str], spatial: tuple[int, ...]) -> str:
    size = "x".join(map(str, spatial))
    few = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(3))
    return f"no {size} convolution among its {sum(reasons.values())} arrays" + (few and f" ({few})")


def _walk(folder: Location, seen: set[Location]) -> Iterator[Location]:
    try:
        paths = sorted(children(folder), key=lambda path: _natural(base_name(path)))
    except (OSError, UnreadableError):
        yield folder  # a candidate that will say why it cannot be read
        return
    for path in (path for path in paths if not base_name(path).startswith(".")):
        if not is_folder(path) or _is_checkpoint_folder(path):
            yield path
        elif (target := _target(path)) not in seen:
            yield from _walk(path, seen | {target})


def _target(folder: Location) -> Location:
    """The folder that links lead to; remote file systems have none."""
    return folder.resolve() if isinstance(folder, Path) else folder


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts step_9 before step_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def _is_checkpoint_folder(path: Location) -> bool:
    return any(known.recognizes(path, b"") for known in FORMATS.values())


def _is_candidate(path: Location) -> bool:
    try:
        detect(path)
    except UnknownFormatError:
        return base_name(path).lower().endswith(_SUFFIXES)
    except CheckpointError:
        return True
    return True


_SUFFIXES = tuple({suffix for known in FORMATS.values() for suffix in known.suffixes})
