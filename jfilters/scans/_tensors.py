"""Writing safetensors without a second copy of the arrays: safetensors itself makes one of all of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ._counts import NarrowArrays

_DTYPES = {
    **{"uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32"},
    **{"int32": "I32", "bfloat16": "BF16", "float16": "F16", "uint16": "U16", "int16": "I16"},
    **{"int8": "I8", "uint8": "U8", "bool": "BOOL"},
}
"""Names of types in the order in which safetensors stores them, so that wide ones are aligned."""

_BLOCK_BYTES = 1 << 24
"""Bytes that are converted and written at a time."""


def save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write arrays as the same bytes as `safetensors.numpy.save_file`, block by block."""
    stored = {name: _stored(arrays, name) for name in arrays}
    dtypes = {name: _dtype(arrays, array) for name, array in stored.items()}
    order = sorted(stored, key=lambda name: (list(_DTYPES).index(dtypes[name].name), name))
    header, start = {}, 0
    for name in order:
        stop = start + stored[name].size * dtypes[name].itemsize
        kind, shape = _DTYPES[dtypes[name].name], list(stored[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}
        start = stop
    with path.open("wb") as file:
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            for block in _blocks(stored[name], dtypes[name]):
                file.write(block)


def _stored(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return arrays.as_stored(name) if isinstance(arrays, NarrowArrays) else arrays[name]


def _dtype(arrays: Mapping[str, np.ndarray], array: np.ndarray) -> np.dtype:
    is_narrow = isinstance(arrays, NarrowArrays) and array.dtype.kind == "u"
    return np.dtype(np.int64) if is_narrow else array.dtype


def _blocks(array: np.ndarray, dtype: np.dtype) -> Iterator[memoryview]:
    rows = np.atleast_1d(array)
    row_bytes = max(1, rows[:1].size * dtype.itemsize)
    step = max(1, _BLOCK_BYTES // row_bytes)
    for i in range(0, len(rows), step):
        block = np.ascontiguousarray(rows[i : i + step], dtype.newbyteorder("<"))
        yield block.reshape(-1).view(np.uint8).data
