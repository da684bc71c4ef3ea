"""safetensors files, single or sharded with an index, read by a strict parser of their JSON header.

Every promise of the format is checked before an array is handed over: bounds, types, unique keys,
data contiguous from 0, exact length.
"""

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn, TypeGuard

import numpy as np

from ..errors import CheckpointError
from ..io import MAX_JSON_BYTES, ByteSource, Location, budget, json_object, open_source
from ._dtypes import numeric_dtype
from ._foreign import DISTRIBUTED_SHARDS, kind_error
from ._format import Format
from ._layer_records import KERNEL_FILE, with_records
from ._shards import with_shards
from ._stored import PEEK, StoredArray

MAX_AXES = 64
"""Axes of an array, as numpy limits them."""

# Bits a value and the numpy name of the dtype, which is None where numpy has no such values.
_DTYPES = {
    "F64": (64, "float64"), "F32": (32, "float32"),
    "F16": (16, "float16"), "BF16": (16, "bfloat16"),
    "F8_E4M3": (8, "float8_e4m3fn"), "F8_E5M2": (8, "float8_e5m2"),
    "F8_E4M3FNUZ": (8, "float8_e4m3fnuz"), "F8_E5M2FNUZ": (8, "float8_e5m2fnuz"),
    "F8_E8M0": (8, None), "F6_E2M3": (6, None), "F6_E3M2": (6, None), "F4": (4, "float4_e2m1fn"),
    "I64": (64, "int64"), "I32": (32, "int32"), "I16": (16, "int16"), "I8": (8, "int8"),
    "U64": (64, "uint64"), "U32": (32, "uint32"), "U16": (16, "uint16"), "U8": (8, "uint8"),
    "BOOL": (8, "bool"), "C64": (64, "complex64"), "C128": (128, "complex128"),
}  # fmt: skip
_AXES = {"pt": "OIHW", "flax": "HWIO", "tf": "HWIO", "mlx": "OHWI"}
_OFFSETS = re.compile(r'"saved_offsets": ?\[([\d, ]*)\]')
_AGAIN = "the file is damaged or was cut short: fetch it again"


def _recognizes(path: Location, head: bytes) -> bool:
    # The length may imitate any magic number, so what decides is the brace behind it.
    length = int.from_bytes(head[:8], "little")
    likely = length <= MAX_JSON_BYTES or (head[9:10] == b'"' and not _is_text(head))
    return head[8:9] == b"{" and likely


def _is_text(head: bytes) -> bool:
    return head.lstrip()[:1] == b"{" and min(head[:8]) >= ord("\t")


def _arrays(path: Location) -> Sequence[StoredArray]:
    """The arrays of one file in the order of their data."""
    # The header is gone once they are listed.
    with budget(path).temporary():
        return _listed(path)


def _listed(path: Location) -> Sequence[StoredArray]:
    source = open_source(path)
    if source.size < 8:
        _refuse(path, f"expected a header length of 8 bytes, found {source.size} bytes")
    length = int.from_bytes(source.read(0, 8), "little")
    limit = min(MAX_JSON_BYTES, source.size - 8)
    if length > limit:
        _refuse(path, f"expected a header of at most {limit} bytes, found {length}")
    header = json_object(source, 8, 8 + length)
    metadata = _metadata(path, header.pop("__metadata__", {}))
    _check_whole(path, metadata)
    axes = _AXES.get(metadata.get("format", ""))
    entries = {name: _entry(path, name, value) for name, value in header.items()}
    ordered = sorted(entries.items(), key=lambda item: item[1][2])
    _check_contiguous(path, ordered, source.size - 8 - length)
    arrays = [_array(source, 8 + length, name, *entry, axes) for name, entry in ordered]
    if metadata.get("format") == KERNEL_FILE:
        return with_records(arrays, metadata.get("layers", ""), path)
    return arrays


def _data_size(path: Location) -> int:
    source = open_source(path)
    return source.size - 8 - int.from_bytes(source.read(0, 8), "little")


def _check_whole(path: Location, metadata: dict[str, str]) -> None:
    """Refuse a file in which torch.distributed.checkpoint keeps parts of tensors as if they were whole."""
    offsets = _OFFSETS.findall(metadata.get("DCP_SHARDING_INFO", ""))
    if any(re.search("[1-9]", numbers) for numbers in offsets):
        raise kind_error(DISTRIBUTED_SHARDS, path)


def _metadata(path: Location, metadata: Any) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        _refuse(path, "expected __metadata__ to map strings to strings")
    return metadata


def _entry(path: Location, name: str, value: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """The dtype, shape and data range of one tensor."""
    if not isinstance(value, dict):
        _refuse(path, f"expected dtype, shape and data_offsets, found {value!r:.80}", name)
    dtype, shape, offsets = map(value.get, ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _refuse(path, f"expected one of the dtypes {', '.join(_DTYPES)}, found {dtype!r:.80}", name)
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        numbers = f"at most {MAX_AXES} whole numbers from 0 to 2^64"
        _refuse(path, f"expected {numbers} as shape, and two as data_offsets", name)
    bits, (start, stop) = math.prod(shape) * _DTYPES[dtype][0], offsets
    if bits != 8 * (stop - start):
        actual = f"data_offsets {start} to {stop}"
        _refuse(path, f"expected {bits} bits for {dtype} {shape!s:.80}, found {actual}", name)
    return dtype, tuple(shape), (start, stop)


def _are_sizes(sizes: Any) -> TypeGuard[list[int]]:
    is_short = isinstance(sizes, list) and len(sizes) <= MAX_AXES
    return is_short and all(type(n) is int and 0 <= n < 2**64 for n in sizes)


def _check_contiguous(path: Location, ordered: list, size: int) -> None:
    spans = [entry[2] for _, entry in ordered]
    names = [name for name, _ in ordered]
    expected = itertools.chain([0], (stop for _, stop in spans))
    for name, (start, _), end in zip(names, spans, expected, strict=False):
        if start != end:
            what = "overlaps" if start < end else "leaves a hole before"
            _refuse(path, f"its data {what} byte {end}: it starts at {start}", name)
    end = spans[-1][1] if spans else 0
    if end != size:
        _refuse(path, f"expected {end} bytes of data, found {size}")


def _array(
    source: ByteSource,
    base: int,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    span: tuple[int, int],
    axes: str | None,
) -> StoredArray:
    numpy_name = _DTYPES[dtype][1]
    stored = numeric_dtype(numpy_name or "")
    start, stop = base + span[0], base + span[1]

    def read() -> np.ndarray:
        data = np.frombuffer(source.read(start, stop), np.uint8)
        if _DTYPES[dtype][0] == 4:
            data = _unpacked(data)
        return data.view(stored or np.uint8).reshape(shape)

    def peek() -> memoryview:
        return source.read(start, min(stop, start + PEEK))

    reason = None if numpy_name else f"{dtype} weights without a scale"
    return StoredArray(name, shape, numpy_name or dtype, read, axes=axes, reason=reason, peek=peek)


def _unpacked(pairs: np.ndarray) -> np.ndarray:
    """Two values of four bits a byte, the first in the low half, as one value a byte."""
    return np.stack([pairs & 0xF, pairs >> 4], axis=-1).ravel()


def _refuse(path: Location, reason: str, tensor: str | None = None) -> NoReturn:
    raise CheckpointError(reason, path=path, tensor=tensor, remedy=_AGAIN)


FORMAT = with_shards(
    Format(
        name="safetensors",
        reads="safetensors files, single or sharded with an index",
        suffixes=(".safetensors", ".safetensors.index.json"),
        recognizes=_recognizes,
        arrays=_arrays,
        order="name-order",
    ),
    _data_size,
)
