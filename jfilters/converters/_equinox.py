"""Equinox files: the leaves of a module as .npy records end to end, often after one line of JSON.

The file holds no names. Its arrays are named by their place, unless a module of the same structure
is given, which then has to agree with every leaf.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import numpy as np

from ..errors import CheckpointError
from ._bytes import (
    MAGIC,
    ByteSource,
    Location,
    Record,
    dtype_reason,
    holds_several,
    open_source,
    records,
)
from ._format import Format
from ._stored import PEEK, StoredArray

LONGEST_LINE = 1 << 20
"""Bytes of the line of JSON before the leaves."""


def recognizes(path: Location, head: bytes) -> bool:
    """Whether .npy records follow a line of JSON, or one another.

    A file of a single leaf without that line is a .npy file, byte for byte.
    """
    if head.startswith(MAGIC):
        return holds_several(path)
    return head.startswith((b"{", b"[")) and _has_line(path)


def arrays(path: Location) -> Sequence[StoredArray]:
    """Every leaf, named by its place."""
    leaves = _leaves(path)
    stacks = [_stack(*pair) for pair in itertools.pairwise(leaves)]
    return [
        _stored(
            f"leaf.{index}",
            record,
            axes="OIHW",
            reason="bias" if index and stacks[index - 1] else _reason(record),
            stacked=stacks[index] if index < len(stacks) else None,
        )
        for index, record in enumerate(leaves)
    ]


def equinox_arrays(path: Location, like: Any) -> Sequence[StoredArray]:
    """Every leaf, named by its path in a module of the same structure.

    **Arguments:**

    - `path`: the file that `eqx.tree_serialise_leaves` wrote.
    - `like`: the tree that was saved, or its shapes alone as `eqx.filter_eval_shape` gives them.

    Raises CheckpointError naming the first leaf that differs, is missing or is left over.
    """
    convolutions, optimizers = _nodes(like, _is_convolution), _nodes(like, _is_optimizer_state)
    found = []
    for key_path, leaf, record in _paired(path, _expected(like), _leaves(path)):
        facts = _facts(key_path, record, convolutions.get(key_path[:-1]))
        if any(key_path[: len(outer)] == outer for outer in optimizers):
            facts["reason"] = "optimizer state"
        found.append(_stored(_name(key_path), _typed(record, leaf), **facts))
    return found


def _has_line(path: Location) -> bool:
    try:
        return _start(open_source(path)) > 0
    except CheckpointError:
        return False


def _start(source: ByteSource) -> int:
    """Where the first record starts: after the line of JSON, if there is one."""
    if bytes(source.read(0, len(MAGIC))) == MAGIC:
        return 0
    start = bytes(source.read(0, LONGEST_LINE)).find(b"\n") + 1
    if not start or bytes(source.read(start, start + len(MAGIC))) != MAGIC:
        reason = f"expected .npy records after one line of JSON of at most {LONGEST_LINE} bytes"
        raise CheckpointError(reason, path=source.path)
    return start


def _leaves(path: Location) -> list[Record]:
    source = open_source(path)
    return list(records(source, _start(source)))


def _stored(name: str, record: Record, **facts: Any) -> StoredArray:
    header = record.header
    peek = functools.partial(record.peek, PEEK)
    return StoredArray(name, header.shape, header.dtype.name, record.read, peek=peek, **facts)


def _reason(record: Record) -> str | None:
    """Why a leaf without a name is no convolution weight, as far as its shape and dtype tell."""
    shape = record.header.shape
    # The bias of a convolution is (out, 1, 1), as many axes as its weight less one.
    is_bias = len(shape) > 1 and set(shape[1:]) == {1}
    return "bias" if is_bias else dtype_reason(record.header.dtype)


def _stack(weight: Record, bias: Record) -> int | None:
    """How many leading axes of a weight number layers, by the bias behind it, of shape (..., out, 1, 1)."""
    shape, beside = weight.header.shape, bias.header.shape
    count = next((at for at, size in enumerate(beside) if size == 1), len(beside)) - 1
    fits = count > 0 and len(beside) == len(shape) - 1 and set(beside[count + 1 :]) == {1}
    return count if fits and shape[: count + 1] == beside[: count + 1] else None


def _name(key_path: tuple) -> str:
    return jtu.keystr(key_path, simple=True, separator=".")


def _expected(like: Any) -> list[tuple[tuple, Any]]:
    """The leaves of a tree that Equinox writes, in its order: arrays and Python numbers."""
    leaves = jtu.tree_flatten_with_path(like)[0]
    return [
        (key_path, leaf)
        for key_path, leaf in leaves
        if eqx.is_array_like(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
    ]


def _nodes(like: Any, is_node: Callable[[Any], bool]) -> dict[tuple, Any]:
    """The outermost nodes of a tree that are of some kind, by path."""
    nodes = jtu.tree_flatten_with_path(like, is_leaf=is_node)[0]
    return {key_path: node for key_path, node in nodes if is_node(node)}


def _is_convolution(node: Any) -> bool:
    return isinstance(node, eqx.nn.Conv | eqx.nn.ConvTranspose)


def _is_optimizer_state(node: Any) -> bool:
    return type(node).__module__.partition(".")[0] == "optax"


def _paired(
    path: Location, expected: list[tuple[tuple, Any]], found: list[Record]
) -> list[tuple[tuple, Any, Record]]:
    """Each expected leaf with the record in its place, once all of them agree."""
    for (key_path, leaf), record in zip(expected, found, strict=False):
        _check_leaf(path, _name(key_path), leaf, record)
    if len(expected) != len(found):
        names = [_name(key_path) for key_path, _ in expected]
        first = [*names, f"leaf.{len(names)}"][min(len(expected), len(found))]
        word = "missing from the file" if len(found) < len(expected) else "left over in the file"
        reason = f"the first leaf {word}: expected {len(expected)} leaves, found {len(found)}"
        raise CheckpointError(reason, path=path, tensor=first, remedy=_REMEDY)
    return [(*leaf, record) for leaf, record in zip(expected, found, strict=True)]


_REMEDY = "give the tree that was saved as `like`"


def _check_leaf(path: Location, name: str, leaf: Any, record: Record):
    header = record.header
    shape, dtype = np.shape(leaf), _leaf_dtype(leaf)
    if header.shape != shape or not _same_dtype(header.dtype, dtype, leaf):
        reason = f"expected {dtype.name} {shape}, found {header.dtype.name} {header.shape}"
        raise CheckpointError(reason, path=path, tensor=name, remedy=_REMEDY)


def _leaf_dtype(leaf: Any) -> np.dtype:
    return np.dtype(getattr(leaf, "dtype", None) or np.asarray(leaf).dtype)


def _same_dtype(stored: np.dtype, expected: np.dtype, leaf: Any) -> bool:
    if isinstance(leaf, bool | int | float | complex):
        return stored.kind == expected.kind
    # The dtypes of one byte that NumPy does not know are all stored as raw bytes.
    raw = stored.type is np.void and expected.kind == "V" and stored.itemsize == expected.itemsize
    return raw or stored.newbyteorder("=") == expected.newbyteorder("=")


def _typed(record: Record, leaf: Any) -> Record:
    """The record with the dtype of `leaf`, which raw bytes alone do not tell."""
    if record.header.dtype.type is not np.void:
        return record
    header = dataclasses.replace(record.header, dtype=_leaf_dtype(leaf))
    return dataclasses.replace(record, header=header)


def _facts(key_path: tuple, record: Record, convolution: Any) -> dict[str, Any]:
    """What the module knows about one of its leaves."""
    if convolution is None:
        return {"reason": _reason(record)}
    if getattr(key_path[-1], "name", None) != "weight":
        return {"reason": "bias"}
    is_transposed = isinstance(convolution, eqx.nn.ConvTranspose)
    return {
        "axes": "OIHW",
        "groups": convolution.groups,
        "transposed": is_transposed,
        "mirrored": is_transposed,
        "stacked": len(record.header.shape) - convolution.num_spatial_dims - 2,
    }


FORMAT = Format(
    name="equinox",
    reads="Equinox leaves (eqx.tree_serialise_leaves), with or without a line of JSON",
    suffixes=(".eqx",),
    recognizes=recognizes,
    arrays=arrays,
    order="registration-order",
)
