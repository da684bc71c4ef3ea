"""The layout of Orbax checkpoints: items with a tree, steps of items, and folders of steps.

Told by the names of files alone, so that a folder of models beside one another is none of these.
"""

import re

from ..errors import UnreadableError
from ..io import Location, base_name, children, is_file, is_folder

TREE, DATABASE, STEP_FILE, COMMITTED = (
    "_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA", "commit_success.txt",
)  # fmt: skip
UNFINISHED = ".orbax-checkpoint-tmp"
_STEP = re.compile(r"(?:.*_)?(\d{1,18})(?:\.orbax-checkpoint-tmp.*)?", re.ASCII | re.DOTALL)


def recognizes(path: Location, head: bytes) -> bool:
    """Return whether a folder is one checkpoint: an item, or a step with items, but no folder of steps."""
    try:
        return is_folder(path) and _is_checkpoint(path)
    except (OSError, ValueError):
        return False


def steps(path: Location) -> list[tuple[int, Location]]:
    """The steps in the root folder of a checkpoint manager, in order; none in any other folder.

    Unfinished ones are among them, to be refused by name.
    """
    try:
        if not is_folder(path) or _is_checkpoint(path):
            return []
        numbered = [(step_of(child), child) for child in children(path)]
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), path=path) from error
    return sorted((step, child) for step, child in numbered if step >= 0 and recognizes(child, b""))


def _is_checkpoint(path: Location) -> bool:
    if UNFINISHED in base_name(path) or is_item(path) or is_file(path / STEP_FILE):
        return True
    return bool(items := items_of(path)) and not any(map(_is_whole, items)) and not _others(path)


def _is_whole(item: Location) -> bool:
    """Return whether an item is a step, or a checkpoint of its own; the items of a step are neither."""
    return step_of(item) >= 0 or is_file(item / STEP_FILE)


def _others(path: Location) -> list[str]:
    """The files in a folder that no step has: it is one of models of any format."""
    names = (base_name(child) for child in children(path) if is_file(child))
    return [name for name in names if name != COMMITTED and not name.startswith(".")]


def is_item(path: Location) -> bool:
    """Return whether a folder holds one tree of arrays."""
    return any(is_file(path / name) for name in (TREE, DATABASE, "_sharding"))


def items_of(path: Location) -> list[Location]:
    """The items of a step, by name; none if the folder is itself an item."""
    if is_item(path):
        return []
    return sorted(child for child in children(path) if is_folder(child) and is_item(child))


def step_of(path: Location) -> int:
    """The step that a folder's name tells; -1 if it is no step's."""
    match = _STEP.fullmatch(base_name(path))
    return int(match[1]) if match else -1
