"""The checkpoints below a folder: which files and folders are candidates, and which are none.

No path ends the walk: one that cannot be looked at is a candidate, and says why when it is opened.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..converters import Location, detect
from ..converters.internal import (
    OwnFileError,
    base_name,
    children,
    exists,
    is_checkpoint_folder,
    is_folder,
    part_names,
    promises_weights,
)
from ..errors import CheckpointError, UnknownFormatError, UnreadableError

MOST_WAYS = 8
"""Ways by links to one folder, by each of which its checkpoints are models of their own."""

_DIGITS = re.compile(r"(\d+)")


def find_checkpoints(root: Location) -> tuple[list[Location], list[Location]]:
    """The candidate files and folders under `root`, and the files that are no checkpoint, both sorted.

    A folder that is itself one checkpoint (sharded, or a step folder) is not entered, and shards count with
    the index that names them. Hidden names are passed over. Weights in a format that is not read are
    candidates, to be refused by name; so is a file of unknown content if its suffix promises weights. What
    jfilters wrote is none, and what cannot be looked at is a candidate that says why.
    """
    if not is_folder(root):
        if not exists(root):
            detect(root)  # says what is missing, and what was meant
            raise UnreadableError("no such file or folder", path=root)
        return [root], []
    if is_checkpoint_folder(root):
        return [root], []
    candidates: list[Location] = []
    ignored: list[Location] = []
    for path in _walk(root):
        (candidates if _is_candidate(path) else ignored).append(path)
    return candidates, ignored


def leads_to_folder(path: Location) -> bool:
    """Return whether the path leads to a folder; False for one that cannot be looked at."""
    try:
        return is_folder(path)
    except UnreadableError:
        return False


def _walk(root: Location) -> Iterator[Location]:
    """The files and checkpoint folders below a folder, by name; no place is kept on Python's own stack.

    A link to a folder that it lies in is not followed, and no folder is entered by more ways than
    `MOST_WAYS`: links between a few folders make more paths than anyone waits for.
    """
    ways: Counter[object] = Counter()
    entered = {_target(root): iter([root] if (paths := _listed(root)) is None else paths)}
    while entered:
        path = next(next(reversed(entered.values())), None)
        if path is None:
            entered.popitem()
        elif path == root or not _is_entered(path):
            yield path
        elif (target := _target(path)) not in entered:
            ways[target] += 1
            paths = _listed(path) if ways[target] <= MOST_WAYS else None
            if paths is None:
                yield path
            else:
                entered[target] = iter(paths)


def _listed(folder: Location) -> list[Location] | None:
    """What a scan looks at in a folder, by name; None if it cannot be listed."""
    try:
        paths = sorted(children(folder), key=lambda path: _natural(base_name(path)))
    except (OSError, UnreadableError):
        return None
    # The parts of a checkpoint in several files are read, or refused, with the file that stands for it.
    parts = part_names(paths)
    names = ((path, base_name(path)) for path in paths)
    return [path for path, name in names if not name.startswith(".") and name not in parts]


def _is_entered(path: Location) -> bool:
    return leads_to_folder(path) and not is_checkpoint_folder(path)


def _target(folder: Location) -> object:
    """What is the same for all ways to a folder by links; remote file systems have none."""
    if isinstance(folder, Path):
        # Resolving a path of 1,200 folders would look at each of them, for each of them.
        with contextlib.suppress(OSError):
            status = os.stat(folder)
            return status.st_dev, status.st_ino
    return folder


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts step_9 before step_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def _is_candidate(path: Location) -> bool:
    try:
        detect(path)
    except OwnFileError:
        return False
    except UnknownFormatError:
        return promises_weights(base_name(path))
    except CheckpointError:
        return True
    return True
