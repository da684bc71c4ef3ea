"""safetensors files, single or sharded with an index, read by a strict parser of their JSON header.

Every promise of the format is checked before an array is handed over: bounds, types, unique keys,
data contiguous from 0, exact length. A header is parsed within about 1 GB.
"""

import dataclasses
import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn, TypeGuard

import numpy as np

from ..errors import CheckpointError
from ._bytes import ByteSource, Location, children, is_file, is_folder, open_source
from ._dtypes import numeric_dtype
from ._format import Format
from ._layer_records import KERNEL_FILE, with_records
from ._stored import PEEK, StoredArray

MAX_HEADER = 100_000_000
"""Bytes of a header, as the format itself limits them."""

MAX_ELEMENTS = 2_000_000
"""Commas, braces and brackets of a header, which bound the memory that its parser takes."""

MAX_AXES = 64
"""Axes of an array, as numpy limits them."""

INDEX_SUFFIX = ".safetensors.index.json"

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
_AGAIN = "the file is damaged or was cut short: fetch it again"


def _recognizes(path: Location, head: bytes) -> bool:
    if is_folder(path):
        return bool(_indexes(path))
    return _has_header(head) or (_is_text(head) and _is_index(path))


def _has_header(head: bytes) -> bool:
    # The length may imitate any magic number, so what decides is the brace behind it.
    length = int.from_bytes(head[:8], "little")
    likely = length <= MAX_HEADER or (head[9:10] == b'"' and not _is_text(head))
    return head[8:9] == b"{" and likely


def _is_text(head: bytes) -> bool:
    return head.lstrip()[:1] == b"{" and min(head[:8]) >= ord("\t")


def _is_index(path: Location) -> bool:
    return b'"weight_map"' in bytes(open_source(path).read(0, MAX_HEADER))


def _indexes(folder: Location) -> list[Location]:
    return sorted(path for path in children(folder) if path.name.endswith(INDEX_SUFFIX))


def _arrays(path: Location) -> Sequence[StoredArray]:
    if is_folder(path):
        return _sharded(_the_index(path))
    head = bytes(open_source(path).read(0, 512))
    return _single(path)[0] if _has_header(head) else _sharded(path)


def _the_index(folder: Location) -> Location:
    found = _indexes(folder)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CheckpointError(f"several indexes: {names}", path=folder, remedy="name one of them")
    return found[0]


def _sharded(index: Location) -> list[StoredArray]:
    """The arrays of all shards that an index names."""
    weight_map, total = _read_index(index)
    holders: dict[str, str] = {}
    arrays, size = [], 0
    for shard in dict.fromkeys(weight_map.values()):
        found, data_size = _single(_shard_path(index, shard))
        for array in found:
            _check_holder(index, array.name, shard, holders)
        arrays += [dataclasses.replace(array, file=shard) for array in found]
        size += data_size
    for name, shard in weight_map.items():
        if holders.get(name) != shard:
            _refuse(
                index, f"expected it in {shard}, found it in {holders.get(name, 'no shard')}", name
            )
    if total is not None and total != size:
        _refuse(index, f"total_size says {total} bytes, the shards hold {size}")
    return arrays


def _read_index(index: Location) -> tuple[dict[str, str], int | None]:
    source = open_source(index)
    content = _parsed(source, 0, source.size)
    weight_map, metadata = content.get("weight_map"), content.get("metadata", {})
    if not isinstance(weight_map, dict) or not all(isinstance(v, str) for v in weight_map.values()):
        _refuse(index, "expected a weight_map from tensor names to file names")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return weight_map, total


def _shard_path(index: Location, shard: str) -> Location:
    # Plain names alone: no folder, no "..", no absolute path, no drive, no URL.
    if not shard or shard in (".", "..") or set(shard) & set("/\\:\0"):
        _refuse(index, f"expected the name of a file beside the index, found {shard!r}")
    path = index.parent / shard
    if not is_file(path):
        remedy = "fetch all shards into one folder"
        raise CheckpointError(f"the shard {shard} is missing", path=index, remedy=remedy)
    return path


def _check_holder(index: Location, name: str, shard: str, holders: dict[str, str]) -> None:
    other = holders.setdefault(name, shard)
    if other != shard:
        _refuse(index, f"stored in two shards, {other} and {shard}", name)


def _single(path: Location) -> tuple[list[StoredArray], int]:
    """The arrays of one file in the order of their data, and the bytes of that data."""
    source = open_source(path)
    if source.size < 8:
        _refuse(path, f"expected a header length of 8 bytes, found {source.size} bytes")
    length = int.from_bytes(source.read(0, 8), "little")
    limit = min(MAX_HEADER, source.size - 8)
    if length > limit:
        _refuse(path, f"expected a header of at most {limit} bytes, found {length}")
    header = _parsed(source, 8, 8 + length)
    metadata = _metadata(path, header.pop("__metadata__", {}))
    axes = _AXES.get(metadata.get("format", ""))
    entries = {name: _entry(path, name, value) for name, value in header.items()}
    ordered = sorted(entries.items(), key=lambda item: item[1][2])
    _check_contiguous(path, ordered, source.size - 8 - length)
    arrays = [_array(source, 8 + length, name, *entry, axes) for name, entry in ordered]
    if metadata.get("format") == KERNEL_FILE:
        arrays = with_records(arrays, metadata.get("layers", ""), path)
    return arrays, source.size - 8 - length


def _parsed(source: ByteSource, start: int, stop: int) -> dict[str, Any]:
    """The JSON object in a range of bytes."""
    text = bytes(source.read(start, min(stop, start + MAX_HEADER + 1)))
    if len(text) > MAX_HEADER or sum(map(text.count, (b",", b"{", b"["))) > MAX_ELEMENTS:
        _refuse(source.path, f"more than {MAX_HEADER} bytes or {MAX_ELEMENTS} elements of JSON")
    if text[:1] != b"{":
        _refuse(source.path, f'expected JSON that starts with "{{", found {text[:8]!r}')
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"no valid JSON ({error})", path=source.path, remedy=_AGAIN
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {twice!r:.80}")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _metadata(path: Location, found: Any) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        _refuse(path, "expected __metadata__ to map strings to strings")
    return found


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
        found = f"data_offsets {start} to {stop}"
        _refuse(path, f"expected {bits} bits for {dtype} {shape!s:.80}, found {found}", name)
    return dtype, tuple(shape), (start, stop)


def _are_sizes(found: Any) -> TypeGuard[list[int]]:
    is_short = isinstance(found, list) and len(found) <= MAX_AXES
    return is_short and all(type(n) is int and 0 <= n < 2**64 for n in found)


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


FORMAT = Format(
    name="safetensors",
    reads="safetensors files, single or sharded with an index",
    suffixes=(".safetensors", INDEX_SUFFIX),
    recognizes=_recognizes,
    arrays=_arrays,
    order="name-order",
)
