"""The value of a torch file wherever it lies: by itself, in an archive, between others in one file."""

from ...errors import CheckpointError
from ...io import ByteSource, SourceRange, ZipArchive
from ._archive import archive_value
from ._arrays import PickledArray, pickled_array
from ._legacy import MAGIC, read_legacy

_ZIP = b"PK\x03\x04"


def saved_value(source: ByteSource) -> object:
    """The value that torch.save wrote into a source. Raises CheckpointError if it is no file of torch."""
    head = bytes(source.read(0, 64))
    if head.startswith(_ZIP):
        return archive_value(source)
    if head[2:].startswith(MAGIC):
        return read_legacy(source)
    raise CheckpointError("expected a file of torch.save", path=source.path)


def saved_array(source: ByteSource) -> PickledArray:
    """The one tensor that torch.save wrote into a source."""
    array = pickled_array(saved_value(source))
    if array is None:
        raise CheckpointError("expected a tensor of torch.save", path=source.path)
    return array


def member_source(archive: ZipArchive, name: str) -> SourceRange:
    """The bytes of a member of an archive, which are not copied."""
    start = archive.start(name)
    return SourceRange(archive.source, start, start + archive.size(name))
