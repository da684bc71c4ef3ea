"""NumPy files: .npy holds one array, .npz is a zip of them, stored or deflated.

Members of a zip are inflated one at a time, and only what the archive can plausibly hold.
"""

import dataclasses
import functools
import math
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from ..errors import CheckpointError
from ..io import (
    LONGEST_NPY_HEADER,
    NPY_MAGIC,
    PICKLED_NPY,
    SAVE_PLAIN,
    Location,
    NpyHeader,
    SourceFile,
    ZipArchive,
    budget,
    dtype_reason,
    holds_npy_stream,
    open_source,
    parse_npy_header,
    read_npy,
)
from ._format import Format
from ._layer_records import MAX_TEXT, RECORDS, with_records
from ._stored import PEEK, StoredArray

_MEMBER_BYTES = 1_200
"""Memory that zipfile takes for a member."""

_ZIP = b"PK\x03\x04"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, LookupError, OSError, EOFError,
)  # fmt: skip


def recognizes(path: Location, head: bytes) -> bool:
    """Return whether this is a single .npy record, or a zip whose first member is one.

    An Equinox file of a single leaf is a .npy file, byte for byte.
    """
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if head.startswith(NPY_MAGIC):
        return not holds_npy_stream(path)
    return head.startswith(_ZIP) and name.endswith(b".npy")


def arrays(path: Location) -> Sequence[StoredArray]:
    """The array of a .npy file, or those of a .npz file in the order of its members."""
    source = open_source(path)
    if bytes(source.read(0, len(NPY_MAGIC))) == NPY_MAGIC:
        return [_single(path)]
    archive = _open_archive(path)
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    _check_members(members, path, source.size)
    stored = [_member(archive, member, path) for member in members]
    pickled = [array.name for array in stored if array.reason == PICKLED_NPY]
    if pickled and not any(len(array.shape) > 2 for array in stored if not array.reason):
        tensor = ", ".join(pickled[:3])
        raise CheckpointError(PICKLED_NPY, path=path, tensor=tensor, remedy=SAVE_PLAIN)
    return _with_layers(stored, path)


def _single(path: Location) -> StoredArray:
    source = open_source(path)
    record = read_npy(source, 0, None)
    if record.stop != source.size:
        raise CheckpointError(f"{source.size - record.stop} bytes after the array", path=path)
    return _stored(path.stem, record.header, record.read)


def _stored(name: str, header: NpyHeader, reader) -> StoredArray:
    reason = dtype_reason(header.dtype)
    return StoredArray(name, header.shape, header.dtype.name, reader, reason=reason)


def _open_archive(path: Location) -> zipfile.ZipFile:
    source = open_source(path)
    # zipfile itself bounds neither its directory nor its members, and takes the last of two of a name.
    members = ZipArchive(source).members
    budget(path).take(memory=_MEMBER_BYTES * len(members))
    try:
        return zipfile.ZipFile(SourceFile(source))
    except _ZIP_ERRORS as error:
        reason = f"expected a complete zip archive ({error})"
        raise CheckpointError(reason, path=path, remedy="copy the file again") from error


def _check_members(members: list[zipfile.ZipInfo], path: Location, size: int):
    """Refuse what no writer of .npz makes, before anything is inflated."""
    total = sum(member.file_size for member in members)
    budget(path).check_expansion(total, size, f"{len(members)} members that inflate to a total")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Location) -> StoredArray:
    name = member.filename.removesuffix(".npy")
    head = _inflate(archive, member, path, LONGEST_NPY_HEADER)
    header = parse_npy_header(head, path, name)
    if not header.dtype.hasobject and header.length + header.nbytes != member.file_size:
        stored = member.file_size - header.length
        reason = f"expected {header.nbytes} bytes of {header.dtype} {header.shape}, found {stored}"
        raise CheckpointError(reason, path=path, tensor=name)
    reader = functools.partial(_read, archive, member, path, header)
    peek = functools.partial(_inflate, archive, member, path, header.length + PEEK)
    return dataclasses.replace(_stored(name, header, reader), peek=peek)


def _read(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Location, header: NpyHeader
) -> np.ndarray:
    name = member.filename.removesuffix(".npy")
    if header.dtype.hasobject:
        raise CheckpointError(dtype_reason(header.dtype) or "", path=path, tensor=name)
    data = _inflate(archive, member, path, member.file_size)
    if len(data) != member.file_size:
        reason = f"truncated: expected {member.file_size} bytes, found {len(data)}"
        raise CheckpointError(reason, path=path, tensor=name)
    return header.array(memoryview(data)[header.length :])


def _with_layers(arrays: list[StoredArray], path: Location) -> list[StoredArray]:
    """The arrays themselves; without their records and with their layers in a file that has them."""
    weights = [array for array in arrays if array.name != RECORDS]
    if len(weights) == len(arrays):
        return arrays
    records = next(array for array in arrays if array.name == RECORDS)
    if records.dtype != "uint8" or math.prod(records.shape) > MAX_TEXT:
        reason = f"expected at most {MAX_TEXT} bytes, found {records.dtype} {records.shape}"
        raise CheckpointError(reason, path=path, tensor=RECORDS)
    return with_records(weights, records.read().tobytes().decode("utf-8", "replace"), path)


def _inflate(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Location, count: int
) -> bytes:
    """The first `count` bytes of a member; all of them are checked against their checksum."""
    if member.compress_type not in _METHODS:
        reason = f"expected a stored or deflated member, found method {member.compress_type}"
        raise CheckpointError(reason, path=path, tensor=member.filename)
    try:
        with archive.open(member) as file:
            return file.read(count)
    except _ZIP_ERRORS as error:
        reason = f"damaged member of the zip archive ({error})"
        raise CheckpointError(reason, path=path, tensor=member.filename) from error


FORMAT = Format(
    name="numpy",
    reads="NumPy arrays: .npy, and .npz stored or deflated",
    suffixes=(".npy", ".npz"),
    recognizes=recognizes,
    arrays=arrays,
)
