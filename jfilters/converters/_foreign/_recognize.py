"""From a path to the error that says which foreign format it is of."""

from ...errors import CheckpointError, ForeignFormatError, UnknownFormatError
from ...io import Location, base_name, children, is_folder, open_source
from ._folders import SAVED_MODEL, by_files, part_of
from ._kind import Kind
from ._magic import by_magic
from ._names import by_name, promises_weights
from ._packed import by_packing
from ._protobuf import by_fields
from ._text import LONGEST, by_text, is_text

_REMEDY = "`jfilters formats` lists what can be read"


def foreign_error(path: Location, head: bytes) -> CheckpointError | None:
    """The error that names the format of a path which no reader takes; None for an unknown format."""
    kind = by_files(path) if not head and is_folder(path) else _file_kind(path, head)
    return kind_error(kind, path) if kind else None


def foreign_part(path: Location) -> CheckpointError | None:
    """The error for a file that is a part of a foreign checkpoint, whatever its own bytes look like."""
    kind = part_of(path)
    return kind_error(kind, path) if kind else None


def is_foreign_folder(path: Location) -> bool:
    """Tell whether a folder is one checkpoint of a format that is not read."""
    kind = by_files(path)
    if kind is SAVED_MODEL:
        # Some repositories keep other models beside it.
        names = (base_name(child) for child in children(path))
        return not any(promises_weights(name) and not name.endswith(".pb") for name in names)
    return kind is not None and kind.weights


def kind_error(kind: Kind, path: Location) -> CheckpointError:
    """The error that refuses a file or folder of this kind."""
    error = ForeignFormatError if kind.weights else UnknownFormatError
    fate = (
        ""
        if kind.stands_for
        else ", which jfilters does not read"
        if kind.weights
        else ", no checkpoint"
    )
    return error(f"{kind.name}{fate}", path=path, remedy=kind.remedy or _REMEDY)


def _file_kind(path: Location, head: bytes) -> Kind | None:
    if not head:
        return None
    source = open_source(path)
    if is_text(head):
        kind = by_text(head, bytes(source.read(0, LONGEST)))
        if kind is None:
            return by_name(path)
        # A pointer or a page may stand for weights of any format, read or not.
        misplaced = kind.stands_for and promises_weights(base_name(path))
        return kind._replace(weights=kind.weights or misplaced)
    return by_magic(head) or by_packing(source, head) or by_fields(source) or by_name(path)
