"""Safetensors files here or at a URL, opened alike; of a remote one only the arrays asked for travel."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..io import ByteSource, Location

MOST_HEADER = 1 << 26
"""Bytes of a header that is read."""

_TYPES = {
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "BOOL": "|b1",
}


@contextlib.contextmanager
def open_tensors(path: Location) -> Iterator[Any]:
    """Open a safetensors file as `safetensors.safe_open` does, also at a URL."""
    if isinstance(path, Path):
        with safe_open(path, framework="numpy") as file:
            yield file
    else:
        from ..io import open_source

        yield RemoteTensors(open_source(path))


class RemoteTensors:
    """The arrays of a remote safetensors file, each read by its byte range.

    Raises SafetensorError for a file that is none, as `safe_open` does.
    """

    def __init__(self, source: ByteSource):
        self._source = source
        length = int.from_bytes(bytes(source.read(0, 8)), "little")
        if not 2 <= length <= min(MOST_HEADER, source.size - 8):
            raise SafetensorError("header too small or too large")
        self._start = 8 + length
        try:
            header = json.loads(bytes(source.read(8, self._start)))
            metadata = header.pop("__metadata__", None)
            self._slices = {name: RemoteSlice(**fields) for name, fields in header.items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise SafetensorError(f"invalid header: {error}") from error
        self._metadata = metadata if isinstance(metadata, dict) else None

    def metadata(self) -> dict[str, str] | None:
        """Return the texts of the header."""
        return self._metadata

    def keys(self) -> list[str]:
        """Return the names of the arrays."""
        return list(self._slices)

    def get_slice(self, name: str) -> "RemoteSlice":
        """Return type and shape of an array."""
        if name not in self._slices:
            raise SafetensorError(f"file does not contain tensor {name}")
        return self._slices[name]

    def get_tensor(self, name: str) -> np.ndarray:
        """Return an array."""
        part = self.get_slice(name)
        data = self._source.read(*(self._start + offset for offset in part.data_offsets))
        return np.frombuffer(bytearray(data), _TYPES[part.dtype]).reshape(part.shape)


class RemoteSlice:
    """The type, the shape and the range of an array, checked against each other."""

    def __init__(self, dtype: str, shape: list[int], data_offsets: list[int]):
        if dtype not in _TYPES or not all(
            type(n) is int and n >= 0 for n in (*shape, *data_offsets)
        ):
            raise SafetensorError(f"invalid dtype {dtype!r} or shape {shape!r}")
        start, stop = data_offsets
        size = np.dtype(_TYPES[dtype]).itemsize
        for extent in shape:
            size *= extent
        if stop - start != size:
            raise SafetensorError("invalid offsets")
        self.dtype, self.shape, self.data_offsets = dtype, shape, (start, stop)

    def get_dtype(self) -> str:
        """Return the type, as safetensors names it."""
        return self.dtype

    def get_shape(self) -> list[int]:
        """Return the shape."""
        return list(self.shape)
