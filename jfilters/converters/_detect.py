"""The format of a path, by its content or, for a folder, its layout; never by its suffix."""

import difflib
import os
import stat
from pathlib import Path

from ..errors import UnreadableError, printable
from ..io import (
    Location,
    base_name,
    budgeted,
    checkpoint_errors,
    children,
    is_folder,
    location,
    open_source,
)
from . import (
    _caffe,
    _darknet,
    _equinox,
    _flax,
    _ncnn,
    _numpy,
    _onnx,
    _openvino,
    _orbax,
    _safetensors,
    _tensorflow,
    _tfjs,
    _tflite,
    _torch,
)
from ._foreign import foreign_error, foreign_part
from ._format import Format
from ._hdf5 import _filterdb, _keras
from ._own import own_error
from ._torch import _deepspeed, _distributed_folder, _exported
from ._unknown import unknown_error

_MODULES = (
    *(_safetensors, _torch, _exported, _distributed_folder, _deepspeed, _filterdb, _keras, _onnx),
    *(_caffe, _orbax, _equinox, _numpy, _ncnn, _openvino, _darknet, _flax),
    *(_tflite, _tfjs, _tensorflow),
)

FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
"""All formats by name, those whose content is surest to tell first."""

HEAD = 512
"""Bytes of a file that `Format.recognizes` gets to see."""


def detect(path: str | Location) -> Format:
    """Detect the format of a file or folder, by its content alone: the suffix may be any or none.

    At most the first bytes, a directory of an archive or a listing of a folder are read. A format of
    weights that is recognized but not read is an error that says how to convert it.

    **Returns:** one of `FORMATS`.

    **Raises:** UnreadableError if there is nothing to read, ForeignFormatError for weights in a format that
    is not read, UnknownFormatError for anything else.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/weights.npy", np.ones((16, 8, 3, 3)))
    ...     detect(f"{folder}/weights.npy").name
    'numpy'
    """
    path = location(path)
    head = b"" if _is_folder(path) else bytes(open_source(path).read(0, HEAD))
    # Each format reads for itself what tells it, and keeps none of it.
    with checkpoint_errors(path), budgeted(path) as budget, budget.temporary():
        if error := foreign_part(path) or own_error(path, head):
            raise error
        matches = (format for format in FORMATS.values() if format.recognizes(path, head))
        format = next(matches, None)
        if format is None:
            raise foreign_error(path, head) or unknown_error(path, head, _is_readable)
    return format


def _is_readable(path: Location, head: bytes) -> bool:
    return any(format.recognizes(path, head) for format in FORMATS.values())


def _is_folder(path: Location) -> bool:
    if not isinstance(path, Path):
        return is_folder(path)
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        if is_directory:
            # Else one that may not be listed would be of no known layout, or an error name a file in it.
            os.scandir(path).close()
        return is_directory
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error), path=path) from error


def _missing(path: Path) -> UnreadableError:
    if path.is_symlink():
        target = os.readlink(path)
        return UnreadableError(f"a symbolic link to {target}, which is missing", path=path)
    first = next((p for p in reversed(path.parents) if not p.exists()), path)
    close = difflib.get_close_matches(first.name, _names_in(first.parent, first), n=3)
    folder = f"the folder {first} is missing" if first != path else ""
    hint = f"did you mean {' or '.join(map(printable, close))}?" if close else ""
    remedy = "; ".join(filter(None, [folder, hint])) or None
    return UnreadableError("no such file or folder", path=path, remedy=remedy)


def _names_in(folder: Path, missing: Path) -> list[str]:
    try:
        return [base_name(path) for path in children(folder) if path != missing]
    except (OSError, UnreadableError):
        return []
