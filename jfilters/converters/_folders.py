"""Folders that a scan takes as one checkpoint, and other files that are part of a checkpoint."""

from collections.abc import Callable, Collection, Sequence

from ..errors import CheckpointError
from ..io import Location, base_name, children, is_folder
from ._darknet import described
from ._detect import FORMATS
from ._foreign import is_foreign_folder, superfluous
from ._format import Format
from ._ncnn import PAIR as _NCNN
from ._openvino import PAIR as _OPENVINO
from ._shards import companions, index_files, uncovered
from ._tensorflow import parts_beside
from ._tfjs import shards_beside


def is_checkpoint_folder(path: Location) -> bool:
    """Tell whether a folder is one checkpoint, read or not, rather than a folder of several.

    A file in it that cannot be looked at speaks for neither.
    """
    if is_foreign_folder(path):
        return True
    if not any(_recognizes(format, path) for format in FORMATS.values()):
        return False
    try:
        files = [file for file in children(path) if _is_no_folder(file)]
        indexes = index_files(files)
        return not indexes or (len(indexes) == 1 and not uncovered(files))
    except (OSError, CheckpointError):
        return True


def part_names(files: Sequence[Location]) -> set[str]:
    """The names of those files of a folder that are parts of a checkpoint which another file stands for."""
    finders = (
        *(companions, _superfluous, _NCNN.parts, _OPENVINO.parts),
        *(described, shards_beside, parts_beside),
    )
    return set().union(*(_parts(finder, files) for finder in finders))


def _recognizes(format: Format, folder: Location) -> bool:
    try:
        return format.recognizes(folder, b"")
    except (OSError, CheckpointError):
        return False


def _is_no_folder(path: Location) -> bool:
    try:
        return not is_folder(path)
    except CheckpointError:
        return False


def _superfluous(files: Sequence[Location]) -> set[str]:
    return superfluous(map(base_name, files))


def _parts(
    finder: Callable[[Sequence[Location]], Collection[str]], files: Sequence[Location]
) -> set[str]:
    """The names that a finder gives; none if a file that it looks at cannot be read."""
    try:
        return set(finder(files))
    except (OSError, CheckpointError):
        return set()
