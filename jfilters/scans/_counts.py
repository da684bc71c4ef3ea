"""The arrays of a scan in memory, with its histograms in the smallest type that holds them."""

from collections.abc import Iterator, Mapping

import numpy as np


class NarrowArrays(Mapping[str, np.ndarray]):
    """Arrays by name; those of unsigned counts become int64 when they are first used.

    A scan of a hundred thousand checkpoints that is only written needs 60 MB for its histograms, not 1 GB.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        if array.dtype.kind == "u":
            array = self._arrays[name] = array.astype(np.int64)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def as_stored(self, name: str) -> np.ndarray:
        """Return an array in the type that it has in memory now."""
        return self._arrays[name]
