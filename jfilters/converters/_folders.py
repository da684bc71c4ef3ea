"""Folders that a scan takes as one checkpoint, and other files that are part of a checkpoint."""

from collections.abc import Sequence

from ..errors import CheckpointError
from ..io import Location, base_name, children, is_folder
from ._darknet import described
from ._detect import FORMATS
from ._foreign import is_foreign_folder, superfluous
from ._ncnn import PAIR as _NCNN
from ._openvino import PAIR as _OPENVINO
from ._shards import companions, index_files, uncovered
from ._tensorflow import parts_beside
from ._tfjs import shards_beside


def is_checkpoint_folder(path: Location) -> bool:
    """Tell whether a folder is one checkpoint, read or not, rather than a folder of several."""
    if is_foreign_folder(path):
        return True
    if not any(format.recognizes(path, b"") for format in FORMATS.values()):
        return False
    try:
        files = [file for file in children(path) if not is_folder(file)]
    except (OSError, CheckpointError):
        return True
    indexes = index_files(files)
    return not indexes or (len(indexes) == 1 and not uncovered(files))


def part_names(files: Sequence[Location]) -> set[str]:
    """The names of those files of a folder that are parts of a checkpoint which another file stands for."""
    names = {base_name(file) for file in files}
    paired = _NCNN.parts(files) | _OPENVINO.parts(files) | described(files)
    joined = shards_beside(files) | parts_beside(files)
    return companions(files) | superfluous(names) | paired | joined
