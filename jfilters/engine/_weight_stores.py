"""Weights that are stored between the passes: remote ones on disk, so that they are transferred once.

Some local weights stay in memory, so that small files need not be opened a second time.
"""

import os
import tempfile
import weakref
from collections.abc import Hashable

import numpy as np

DISK_BYTES = 8 << 30
"""Default limit of a scan's temporary file; weights beyond it are read again."""


MEMORY_BYTES = 128 << 20
"""Default limit of the weights that a scan caches in memory."""

ARRAY_BYTES = 600
"""Bytes that an array takes beside its numbers: its header, its buffer and its key."""


class WeightCache:
    """Arrays by key in memory, of at most `limit` bytes."""

    def __init__(self, limit: int = MEMORY_BYTES):
        self._free = limit
        self._arrays: dict[Hashable, np.ndarray] = {}

    def put(self, key: Hashable, weight: np.ndarray) -> None:
        """Store an array, if there is room for it."""
        if (size := weight.nbytes + ARRAY_BYTES) <= self._free:
            self._free -= size
            self._arrays[key] = weight

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return the array of a key, None if it is not stored."""
        return self._arrays.get(key)


class TemporaryStore:
    """Float32 arrays by key, of at most `limit` bytes, in an unnamed file that ends with the process.

    A full disk ends the storing, not the scan: later arrays are not stored. A context manager.
    """

    def __init__(self, limit: int = DISK_BYTES):
        self._free, self._size = limit, 0
        self._index: dict[Hashable, tuple[int, tuple[int, ...]]] = {}
        self._file = tempfile.TemporaryFile(prefix="jfilters-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def put(self, key: Hashable, weight: np.ndarray) -> None:
        """Store an array, if there is room for it."""
        data = _bytes_of(np.ascontiguousarray(weight, np.float32))
        if len(data) > self._free:
            return
        try:
            self._write(data)
        except OSError:
            self._free = 0
            return
        self._index[key] = (self._size, weight.shape)
        self._size += len(data)
        self._free -= len(data)

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return the array of a key, None if it is not stored."""
        if key not in self._index:
            return None
        start, shape = self._index[key]
        weight = np.empty(shape, np.float32)
        buffer = _bytes_of(weight)
        filled = 0
        while filled < len(buffer):
            filled += os.preadv(self._file.fileno(), [buffer[filled:]], start + filled)
        return weight

    def __enter__(self) -> "TemporaryStore":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _write(self, data: memoryview) -> None:
        self._file.seek(self._size)
        while data:
            data = data[self._file.write(data) :]


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
