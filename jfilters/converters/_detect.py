"""Which format a path is of, by its content or, for a folder, its layout; never by its suffix."""

import difflib
import os
import stat
from pathlib import Path

from ..errors import UnknownFormatError, UnreadableError
from . import _equinox, _flax, _numpy, _onnx, _orbax, _safetensors, _torch
from ._bytes import Location, base_name, children, is_folder, location, open_source
from ._format import Format
from ._guard import checkpoint_errors
from ._hdf5 import _filterdb, _keras

_MODULES = (_safetensors, _torch, _filterdb, _keras, _onnx, _orbax, _equinox, _numpy, _flax)

FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
"""All formats by name, those whose content is surest to tell first."""

HEAD = 512
"""Bytes of a file that `Format.recognizes` gets to see."""


def detect(path: str | Location) -> Format:
    """The format of a file or folder.

    Raises UnreadableError if there is nothing to read, UnknownFormatError if no format knows it.
    """
    path = location(path)
    head = b"" if _is_folder(path) else bytes(open_source(path).read(0, HEAD))
    with checkpoint_errors(path):
        found = (format for format in FORMATS.values() if format.recognizes(path, head))
        format = next(found, None)
    if format is None:
        remedy = "`jfilters formats` lists what can be read"
        raise UnknownFormatError(_content(path, head), path=path, remedy=remedy)
    return format


def _is_folder(path: Location) -> bool:
    if not isinstance(path, Path):
        return is_folder(path)
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error), path=path) from error


def _missing(path: Path) -> UnreadableError:
    if path.is_symlink():
        target = os.readlink(path)
        return UnreadableError(f"a symbolic link to {target}, which is missing", path=path)
    close = difflib.get_close_matches(path.name, _names_in(path.parent), n=3)
    remedy = f"did you mean {' or '.join(close)}?" if close else None
    return UnreadableError("no such file or folder", path=path, remedy=remedy)


def _names_in(folder: Location) -> list[str]:
    try:
        return [base_name(path) for path in children(folder)]
    except (OSError, UnreadableError):
        return []


def _content(path: Location, head: bytes) -> str:
    """What was found where no format was."""
    if is_folder(path):
        names = _names_in(path)
        more = ", ..." if len(names) > 3 else ""
        inside = f"with {', '.join(names[:3])}{more}" if names else "empty"
        return f"a folder of no known layout, {inside}"
    if not head:
        return "an empty file"
    size = open_source(path).size
    unit = "byte" if size == 1 else "bytes"
    return f"{size} {unit} of no known format, starting with {head[:8].hex(' ')}"
