"""What there is to scan: the checkpoints under a folder and, from metadata alone, their layers.

Nothing vanishes: what cannot be opened becomes an entry with its reason, what is no checkpoint is listed.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..converters import FORMATS, Checkpoint, StoredLayer, detect, open_checkpoint
from ..errors import CheckpointError, UnknownFormatError, UnreadableError, printable
from ..kernels import Layer

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
    """One checkpoint of a scan: what it is, what came of it, and its layers of the chosen shape."""

    model: str
    path: Path
    bytes: int = 0
    format: str | None = None
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


def find_checkpoints(root: Path) -> tuple[list[Path], list[Path]]:
    """The candidate files and folders under `root`, and the files that are no checkpoint, both sorted.

    A folder that is itself one checkpoint (sharded, or a step folder) is not entered. Hidden names are
    passed over. A file whose content is unknown counts as a candidate if its suffix promises weights.
    """
    if not root.exists():
        raise UnreadableError("no such file or folder", path=root)
    if not root.is_dir() or _is_checkpoint_folder(root):
        return [root], []
    candidates: list[Path] = []
    ignored: list[Path] = []
    for path in _walk(root, {root.resolve()}):
        (candidates if _is_candidate(path) else ignored).append(path)
    return candidates, ignored


def survey(
    root: Path, candidates: Sequence[Path], spatial: tuple[int, ...], axes: str | None
) -> Iterator[Entry]:
    """Open every candidate and list its layers of one spatial shape; an error becomes an entry."""
    for path in candidates:
        entry = Entry(model=model_name(path, root), path=path, bytes=size_of(path))
        try:
            yield _described(entry, open_checkpoint(path, axes=axes), spatial)
        except CheckpointError as error:
            yield entry.without(error)


def chosen_layers(checkpoint: Checkpoint, spatial: tuple[int, ...]) -> list[StoredLayer]:
    """The layers of one spatial shape, in the checkpoint's order."""
    return [layer for layer in checkpoint.layers if layer.shape[2:] == spatial]


def model_name(path: Path, root: Path) -> str:
    """The name of a checkpoint in every table: its path relative to the scanned folder."""
    return printable(path.name if path == root else path.relative_to(root).as_posix())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = files_of(path)
    return sum(file.stat().st_size for file in files if file.exists())


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files of a checkpoint folder in a fixed order."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _described(entry: Entry, checkpoint: Checkpoint, spatial: tuple[int, ...]) -> Entry:
    layers = tuple(PlannedLayer(x.layer, x.shape) for x in chosen_layers(checkpoint, spatial))
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


def _size(layer: StoredLayer) -> str:
    extents = layer.shape[2:]
    return f"{'x'.join(map(str, extents))} convolution" + (" (1-D)" if len(extents) == 1 else "")


def _why_empty(reasons: Counter[str], spatial: tuple[int, ...]) -> str:
    size = "x".join(map(str, spatial))
    few = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(3))
    return f"no {size} convolution among its {sum(reasons.values())} arrays" + (few and f" ({few})")


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        yield folder  # a candidate that will say why it cannot be read
        return
    for path in (folder / name for name in names if not name.startswith(".")):
        if not path.is_dir() or _is_checkpoint_folder(path):
            yield path
        elif (target := path.resolve()) not in seen:
            yield from _walk(path, seen | {target})


def _is_checkpoint_folder(path: Path) -> bool:
    return any(known.recognizes(path, b"") for known in FORMATS.values())


def _is_candidate(path: Path) -> bool:
    try:
        detect(path)
    except UnknownFormatError:
        return path.name.lower().endswith(_SUFFIXES)
    except CheckpointError:
        return True
    return True


_SUFFIXES = tuple({suffix for known in FORMATS.values() for suffix in known.suffixes})
