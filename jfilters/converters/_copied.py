"""The arrays of a remote folder of which a library wants real files: read from a copy here."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..io import LocalCopy, Location
from ._stored import StoredArray


def copied_arrays(
    folder: Location, arrays: Callable[[Path], Sequence[StoredArray]]
) -> list[StoredArray]:
    """Return the arrays that the reader `arrays` lists in a copy of a remote folder."""
    copy = _last_copy(folder)

    def read(array: StoredArray) -> np.ndarray:
        with copy.errors():
            return array.read()

    with copy.errors():
        stored = arrays(copy.path)
    return [dataclasses.replace(x, read=functools.partial(read, x)) for x in stored]


@functools.lru_cache(maxsize=1)
def _last_copy(folder: Location) -> LocalCopy:
    return LocalCopy(folder)
