"""The claims of a checkpoint as a whole: the number of its arrays, and the bytes that they stand for.

Checked once for all formats, because a value that is stored once may be claimed by any number of arrays.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from ..io import ARRAY_BYTES, Location, budget, is_folder, open_source, remote_bytes
from ._dtypes import numeric_dtype
from ._stored import StoredArray

USUAL_PARTS, PART_BYTES = 12, 600
"""Parts of a name that are paid for with its array, and the memory of each further one."""


def check_listing(path: Location, arrays: Sequence[StoredArray]) -> None:
    """Draw what the arrays of a checkpoint take to put in order. Raises CheckpointError beyond a limit."""
    memory = sum(ARRAY_BYTES + _name_bytes(array) for array in arrays)
    budget(path).take(memory=memory, elements=len(arrays))


def check_claims(
    path: Location, arrays: Sequence[StoredArray], companions: Sequence[Location]
) -> None:
    """Raises CheckpointError if the arrays to be read are far larger than the files that hold them."""
    sizes = [_bytes(array) for array in arrays if array.reason is None]
    limits = budget(path)
    if not limits.expands(sum(sizes), 0):
        return
    stored = _folder_bytes(path) if is_folder(path) else open_source(path).size
    stored += sum(open_source(companion).size for companion in companions)
    # An array that is too large by itself is refused by its reader, and the others are read.
    claimed = sum(size for size in sizes if not limits.expands(size, stored))
    limits.check_expansion(claimed, stored, f"{len(sizes):,} arrays")


def _name_bytes(array: StoredArray) -> int:
    text = f"{array.network}.{array.name}"
    surplus = max(text.count(".") + text.count("/") - USUAL_PARTS, 0)
    return 2 * (len(text) + len(array.member)) + PART_BYTES * surplus


def _bytes(array: StoredArray) -> int:
    dtype = numeric_dtype(array.dtype)
    return math.prod(array.shape) * (1 if dtype is None else dtype.itemsize)


def _folder_bytes(folder: Location) -> int:
    if not isinstance(folder, Path):
        return remote_bytes(folder)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
