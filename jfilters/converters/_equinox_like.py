"""Equinox files beside the module that was saved, which names their leaves and has to agree with each."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import numpy as np

from ..errors import CheckpointError
from ..io import Location, NpyRecord
from ._equinox import leaf_reason, leaves_of, stored_leaf
from ._stored import StoredArray


def equinox_arrays(path: Location, like: Any) -> Sequence[StoredArray]:
    """Every leaf, named by its path in a module of the same structure.

    **Arguments:**

    - `path`: the file that `eqx.tree_serialise_leaves` wrote.
    - `like`: the tree that was saved, or its shapes alone as `eqx.filter_eval_shape` gives them.

    Raises CheckpointError naming the first leaf that differs, is missing or is left over.
    """
    convolutions, optimizers = _nodes(like, _is_convolution), _nodes(like, _is_optimizer_state)
    arrays = []
    for key_path, leaf, record in _paired(path, _expected(like), leaves_of(path)):
        facts = _facts(key_path, record, convolutions.get(key_path[:-1]))
        if any(key_path[: len(outer)] == outer for outer in optimizers):
            facts["reason"] = "optimizer state"
        arrays.append(stored_leaf(_name(key_path), _typed(record, leaf), **facts))
    return arrays


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
    path: Location, expected: list[tuple[tuple, Any]], records: list[NpyRecord]
) -> list[tuple[tuple, Any, NpyRecord]]:
    """Each expected leaf with the record in its place, once all of them agree."""
    for (key_path, leaf), record in zip(expected, records, strict=False):
        _check_leaf(path, _name(key_path), leaf, record)
    if len(expected) != len(records):
        names = [_name(key_path) for key_path, _ in expected]
        first = [*names, f"leaf.{len(names)}"][min(len(expected), len(records))]
        word = "missing from the file" if len(records) < len(expected) else "left over in the file"
        reason = f"the first leaf {word}: expected {len(expected)} leaves, found {len(records)}"
        raise CheckpointError(reason, path=path, tensor=first, remedy=_REMEDY)
    return [(*leaf, record) for leaf, record in zip(expected, records, strict=True)]


_REMEDY = "give the tree that was saved as `like`"


def _check_leaf(path: Location, name: str, leaf: Any, record: NpyRecord):
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


def _typed(record: NpyRecord, leaf: Any) -> NpyRecord:
    """The record with the dtype of `leaf`, which raw bytes alone do not tell."""
    if record.header.dtype.type is not np.void:
        return record
    header = dataclasses.replace(record.header, dtype=_leaf_dtype(leaf))
    return dataclasses.replace(record, header=header)


def _facts(key_path: tuple, record: NpyRecord, convolution: Any) -> dict[str, Any]:
    """Return the facts that the module gives about one of its leaves."""
    if convolution is None:
        return {"reason": leaf_reason(record)}
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
