"""Errors for paths of no known format: what was found there and what to give instead."""

from collections.abc import Callable, Iterable

from ..errors import CheckpointError, ForeignFormatError, UnknownFormatError
from ..io import Location, base_name, children, is_file, is_folder, open_source
from ._foreign import foreign_error
from ._orbax_layout import step_of, steps

MAX_FILES = 100
"""Files of a folder that are looked into."""

_HEAD = 512
_LISTED = 3
_FORMATS = "`jfilters formats` lists what can be read"
_ZARR = (".zarray", ".zgroup", "zarr.json")

Recognizer = Callable[[Location, bytes], bool]


def unknown_error(path: Location, head: bytes, is_readable: Recognizer) -> UnknownFormatError:
    """The error for a file or folder of no known format; `is_readable` knows the others."""
    if not is_folder(path):
        return UnknownFormatError(_file(path, head), path=path, remedy=_FORMATS)
    files = _children(path)
    names = list(map(base_name, files))
    reason, remedy = (
        _steps(path, files)
        or _readable(files, is_readable)
        or (f"a folder of no known layout, {_inside(names)}", _FORMATS)
    )
    return UnknownFormatError(reason, path=path, remedy=remedy)


def _steps(folder: Location, files: list[Location]) -> tuple[str, str] | None:
    """The steps of a run in a folder: those of Orbax, and the files of flax.training.checkpoints."""
    numbered = [(step, base_name(path)) for step, path in steps(folder)]
    files_by_name = [path for path in files if base_name(path).startswith("checkpoint_")]
    numbered += [(step_of(path), base_name(path)) for path in files_by_name if is_file(path)]
    names = [name for step, name in sorted(numbered) if step >= 0]
    if not names:
        return None
    unit = "step" if len(names) == 1 else "steps"
    return f"a folder of {len(names)} {unit}, {_list(names)}", f"give {names[-1]} in it, or scan it"


def _readable(files: list[Location], is_readable: Recognizer) -> tuple[str, str | None] | None:
    """The checkpoints in a folder that is none itself; failing these, the first that is not read."""
    names, refusal = [], None
    for file in filter(is_file, files[:MAX_FILES]):
        try:
            head = bytes(open_source(file).read(0, _HEAD))
            if is_readable(file, head):
                names.append(base_name(file))
            elif isinstance(error := foreign_error(file, head), ForeignFormatError):
                refusal = refusal or (
                    f"a folder with {base_name(file)}, {error.reason}",
                    error.remedy,
                )
        except CheckpointError:
            continue
    if names:
        return f"a folder that holds {_list(names)}", f"give {names[0]} in it, or scan it"
    return refusal


def _inside(names: list[str]) -> str:
    if any(name in _ZARR for name in names):
        return "but a zarr array or group, without the Orbax checkpoint around it"
    return f"with {_list(names)}" if names else "empty"


def _children(folder: Location) -> list[Location]:
    try:
        return children(folder)
    except (OSError, CheckpointError):
        return []


def _list(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _file(path: Location, head: bytes) -> str:
    if not head:
        return "an empty file"
    size = open_source(path).size
    unit = "byte" if size == 1 else "bytes"
    return f"{size} {unit} of no known format, starting with {head[:8].hex(' ')}"
