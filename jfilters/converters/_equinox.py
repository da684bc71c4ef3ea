"""Equinox files: the leaves of a module as .npy records end to end, often after one line of JSON.

The file holds no names. Its arrays are named by their place, unless a module of the same structure
is given, which then has to agree with every leaf.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from ..errors import CheckpointError
from ..io import (
    NPY_MAGIC,
    ByteSource,
    Location,
    NpyRecord,
    dtype_reason,
    holds_npy_stream,
    npy_records,
    open_source,
)
from ._format import Format
from ._stored import PEEK, StoredArray

LONGEST_LINE = 1 << 20
"""Bytes of the line of JSON before the leaves."""


def recognizes(path: Location, head: bytes) -> bool:
    """Return whether .npy records follow a line of JSON, or one another.

    A file of a single leaf without that line is a .npy file, byte for byte.
    """
    if head.startswith(NPY_MAGIC):
        return holds_npy_stream(path)
    return head.startswith((b"{", b"[")) and _has_line(path)


def arrays(path: Location) -> Sequence[StoredArray]:
    """Every leaf, named by its place."""
    leaves = leaves_of(path)
    stacks = [_stack(*pair) for pair in itertools.pairwise(leaves)]
    return [
        stored_leaf(
            f"leaf.{index}",
            record,
            axes="OIHW",
            reason="bias" if index and stacks[index - 1] else leaf_reason(record),
            stacked=stacks[index] if index < len(stacks) else None,
        )
        for index, record in enumerate(leaves)
    ]


def _has_line(path: Location) -> bool:
    try:
        return _start(open_source(path)) > 0
    except CheckpointError:
        return False


def _start(source: ByteSource) -> int:
    """Return the offset of the first record: after the line of JSON, if there is one."""
    if bytes(source.read(0, len(NPY_MAGIC))) == NPY_MAGIC:
        return 0
    start = bytes(source.read(0, LONGEST_LINE)).find(b"\n") + 1
    if not start or bytes(source.read(start, start + len(NPY_MAGIC))) != NPY_MAGIC:
        reason = f"expected .npy records after one line of JSON of at most {LONGEST_LINE} bytes"
        raise CheckpointError(reason, path=source.path)
    return start


def leaves_of(path: Location) -> list[NpyRecord]:
    """List the .npy records of a file."""
    source = open_source(path)
    return list(npy_records(source, _start(source)))


def stored_leaf(name: str, record: NpyRecord, **facts: Any) -> StoredArray:
    """Return a leaf as a stored array under a name."""
    header = record.header
    peek = functools.partial(record.peek, PEEK)
    return StoredArray(name, header.shape, header.dtype.name, record.read, peek=peek, **facts)


def leaf_reason(record: NpyRecord) -> str | None:
    """Why a leaf without a name is no convolution weight, as far as its shape and dtype tell."""
    shape = record.header.shape
    # The bias of a convolution is (out, 1, 1), as many axes as its weight less one.
    is_bias = len(shape) > 1 and set(shape[1:]) == {1}
    return "bias" if is_bias else dtype_reason(record.header.dtype)


def _stack(weight: NpyRecord, bias: NpyRecord) -> int | None:
    """Count the leading axes of a weight that number layers, by the bias behind it, (..., out, 1, 1)."""
    shape, beside = weight.header.shape, bias.header.shape
    count = next((at for at, size in enumerate(beside) if size == 1), len(beside)) - 1
    fits = count > 0 and len(beside) == len(shape) - 1 and set(beside[count + 1 :]) == {1}
    return count if fits and shape[: count + 1] == beside[: count + 1] else None


FORMAT = Format(
    name="equinox",
    reads="Equinox leaves (eqx.tree_serialise_leaves), with or without a line of JSON",
    suffixes=(".eqx",),
    recognizes=recognizes,
    arrays=arrays,
    order="registration-order",
)
