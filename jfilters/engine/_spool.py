"""Weights kept between the passes: those of remote checkpoints on disk, so that they travel once.

Of those on this machine a few stay in memory, which spares small files the second opening.
"""

import os
import tempfile
import weakref
from collections.abc import Hashable

import numpy as np

SPOOL_BYTES = 8 << 30
"""Bytes that a scan keeps on disk at most, unless told otherwise; what does not fit is read again."""


HELD_BYTES = 128 << 20
"""Bytes of weights that a scan holds in memory at most."""


class Held:
    """Arrays by key in memory, which takes `limit` bytes at most."""

    def __init__(self, limit: int = HELD_BYTES):
        self._left = limit
        self._arrays: dict[Hashable, np.ndarray] = {}

    def put(self, key: Hashable, weight: np.ndarray) -> None:
        """Hold an array, if there is room for it."""
        if weight.nbytes <= self._left:
            self._left -= weight.nbytes
            self._arrays[key] = weight

    def get(self, key: Hashable) -> np.ndarray | None:
        """The array of a key, None if it is not held."""
        return self._arrays.get(key)


class Spool:
    """Float32 arrays by key in one temporary file without a name, which vanishes with the process.

    It takes `limit` bytes at most; a disk that is full before ends it early.
    """

    def __init__(self, limit: int = SPOOL_BYTES):
        self._left, self._size = limit, 0
        self._places: dict[Hashable, tuple[int, tuple[int, ...]]] = {}
        self._file = tempfile.TemporaryFile(prefix="jfilters-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def put(self, key: Hashable, weight: np.ndarray) -> None:
        """Keep an array, if there is room for it."""
        data = _bytes_of(np.ascontiguousarray(weight, np.float32))
        if len(data) > self._left:
            return
        try:
            self._write(data)
        except OSError:
            self._left = 0
            return
        self._places[key] = (self._size, weight.shape)
        self._size += len(data)
        self._left -= len(data)

    def get(self, key: Hashable) -> np.ndarray | None:
        """The array of a key, None if it was not kept."""
        if key not in self._places:
            return None
        start, shape = self._places[key]
        weight = np.empty(shape, np.float32)
        buffer = _bytes_of(weight)
        filled = 0
        while filled < len(buffer):
            filled += os.preadv(self._file.fileno(), [buffer[filled:]], start + filled)
        return weight

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _write(self, data: memoryview) -> None:
        self._file.seek(self._size)
        while data:
            data = data[self._file.write(data) :]


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
