"""The .npy record: one array with a short header, alone in a file, in a stream, or in a zip.

The header is matched against its grammar and never evaluated, so that it can claim nothing but a
dtype, an order and a shape. No memory is taken before the bytes that it claims are there.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

import ml_dtypes
import numpy as np

from ..errors import CheckpointError
from ._location import Location
from ._source import ByteSource, open_source

NPY_MAGIC = b"\x93NUMPY"

LONGEST_NPY_HEADER = 1 << 14
"""Bytes; NumPy itself refuses headers beyond 10,000 characters."""

MOST_RECORDS = 100_000
"""Arrays in one stream."""

_VALUES = {
    "descr": r"'([^'\\]{1,32})'",
    "fortran_order": r"(True|False)",
    "shape": r"\(((?:\d{1,18}(?:,\s*\d{1,18}){0,31},?)?)\s*\)",
}
_FIELDS = {key: rf"'{key}'\s*:\s*{value}" for key, value in _VALUES.items()}
_HEADER = re.compile(rf"\{{(?:\s*(?:{'|'.join(_FIELDS.values())}),?){{3}}\s*\}}\s*", re.ASCII)
# What NumPy writes for dtypes that it does not know; one raw byte may be any of several.
_EXTENDED = {"V2": ml_dtypes.bfloat16, "f1": ml_dtypes.float8_e5m2}
_DESCR = re.compile(r"[<>|=]?(\?|[biufcSUVmMO]\d{0,9}(\[\d{0,9}[a-zA-Z]{1,2}\])?)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class NpyHeader:
    """The header of a record: shape, dtype and order; `length` counts the bytes before the values."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    length: int

    @property
    def nbytes(self) -> int:
        """The length of the values, in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, data: bytes | memoryview) -> np.ndarray:
        """The values in `data` as an array of its own: native byte order, C-contiguous."""
        flat = np.frombuffer(data, self.dtype, count=math.prod(self.shape))
        stored = flat.reshape(self.shape, order="F" if self.fortran_order else "C")
        return np.array(stored, dtype=self.dtype.newbyteorder("="), order="C")


@dataclasses.dataclass(frozen=True)
class NpyRecord:
    """One record of a file: its header, and where its values start and stop."""

    source: ByteSource
    header: NpyHeader
    start: int

    @property
    def stop(self) -> int:
        """The byte after the last of the values."""
        return self.start + self.header.nbytes

    def peek(self, size: int) -> memoryview:
        """The first bytes of the values."""
        return self.source.read(self.start, min(self.stop, self.start + size))

    def read(self) -> np.ndarray:
        """The values."""
        data = self.source.read(self.start, self.stop)
        if len(data) != self.header.nbytes:
            raise _short(self.header, len(data), self.source.path, None)
        return self.header.array(data)


def parse_npy_header(start: bytes, path: Location, tensor: str | None = None) -> NpyHeader:
    """The header at the beginning of `start`: `LONGEST_NPY_HEADER` bytes, or all if there are fewer.

    Raises CheckpointError if it is none that NumPy writes.
    """
    length = _header_length(start, path, tensor)
    text = start[_prefix(start) : length].decode("latin-1")
    matches = {key: re.search(field, text, re.ASCII) for key, field in _FIELDS.items()}
    if len(start) < length or not _HEADER.fullmatch(text) or None in matches.values():
        reason = f"expected a .npy header with descr, fortran_order and shape, found {text[:80]!r}"
        raise CheckpointError(reason, path=path, tensor=tensor)
    descr, order, sizes = (match[1] for match in matches.values() if match)
    dtype, shape = _dtype(descr, path, tensor), tuple(map(int, re.findall(r"\d+", sizes)))
    _check_size(shape, dtype, path, tensor)
    return NpyHeader(shape, dtype, order == "True", length)


def npy_records(source: ByteSource, start: int) -> Iterator[NpyRecord]:
    """The records of a stream, from byte `start` to the end of the file, which they have to fill.

    Raises CheckpointError at the first that is malformed, truncated or holds pickled objects.
    """
    for index in range(MOST_RECORDS):
        if start >= source.size:
            return
        record = read_npy(source, start, f"leaf.{index}")
        yield record
        start = record.stop
    raise CheckpointError(f"more than {MOST_RECORDS} arrays in one file", path=source.path)


def read_npy(source: ByteSource, start: int, tensor: str | None) -> NpyRecord:
    """The record at byte `start`, its values not yet read."""
    head = bytes(source.read(start, start + LONGEST_NPY_HEADER))
    header = parse_npy_header(head, source.path, tensor)
    if header.dtype.hasobject:
        raise CheckpointError(PICKLED_NPY, path=source.path, tensor=tensor, remedy=SAVE_PLAIN)
    record = NpyRecord(source, header, start + header.length)
    if record.stop > source.size:
        raise _short(header, source.size - record.start, source.path, tensor)
    return record


def holds_npy_stream(path: Location) -> bool:
    """Return whether another record follows the first of a file; it never raises."""
    try:
        source = open_source(path)
        stop = read_npy(source, 0, None).stop
    except CheckpointError:
        return False
    return bytes(source.read(stop, stop + len(NPY_MAGIC))) == NPY_MAGIC


def dtype_reason(dtype: np.dtype) -> str | None:
    """Why values of this dtype are no weights; None if they can be."""
    if dtype.hasobject:
        return PICKLED_NPY
    if dtype.type is np.void:
        return f"raw values of {dtype.itemsize} bytes: the file does not say which dtype"
    return None


PICKLED_NPY = "an object array, whose values are pickled Python objects, which are never read"
SAVE_PLAIN = "save plain numeric arrays, each under a name of its own"


def _header_length(start: bytes, path: Location, tensor: str | None) -> int:
    if not start.startswith(NPY_MAGIC) or len(start) < 12 or start[6] not in (1, 2, 3):
        reason = (
            f"expected a .npy record of version 1 to 3, found {start[:8].hex(' ') or 'nothing'}"
        )
        raise CheckpointError(reason, path=path, tensor=tensor)
    prefix = _prefix(start)
    length = prefix + int.from_bytes(start[8:prefix], "little")
    if length > LONGEST_NPY_HEADER:
        reason = f"a .npy header that claims {length} bytes; expected at most {LONGEST_NPY_HEADER}"
        raise CheckpointError(reason, path=path, tensor=tensor)
    return length


def _prefix(start: bytes) -> int:
    """The bytes before the header's text: magic, version and a length of two bytes or of four."""
    return 10 if start[6] == 1 else 12


def _dtype(descr: str, path: Location, tensor: str | None) -> np.dtype:
    try:
        extended = _EXTENDED.get(descr.lstrip("<>|="))
        return np.dtype(extended or (descr if _DESCR.fullmatch(descr) else ""))
    except (TypeError, ValueError) as error:
        reason = f"expected a plain dtype, found {descr!r}"
        raise CheckpointError(reason, path=path, tensor=tensor) from error


def _check_size(shape: tuple[int, ...], dtype: np.dtype, path: Location, tensor: str | None):
    if math.prod(max(size, 1) for size in shape) * max(dtype.itemsize, 1) >= 1 << 63:
        raise CheckpointError(f"a shape that overflows, {shape}", path=path, tensor=tensor)


def _short(header: NpyHeader, stored: int, path: Location, tensor: str | None) -> CheckpointError:
    reason = f"truncated: expected {header.nbytes} bytes of {header.dtype} {header.shape}, found {stored}"
    return CheckpointError(reason, path=path, tensor=tensor)
