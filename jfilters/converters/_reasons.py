"""Why single arrays are no convolutions, as far as their names, shapes and dtypes tell."""

import dataclasses
from collections.abc import Sequence

from ._names import LONGEST_NAME, bias_name
from ._not_weights import named_reason, training_state
from ._stored import Skipped, StoredArray

Reasons = dict[int, str]
"""Reasons by the indices of arrays."""

_FLOATS = ("float", "bfloat")
_INTEGER = "integer weights without a scale"
_WITHOUT_SCALE = "weights without a scale"


def bounded(array: StoredArray) -> StoredArray:
    """The array itself unless its name is of a length that only a hostile file has."""
    size = len(array.name)
    if size <= LONGEST_NAME:
        return array
    name, reason = f"{array.name[:32]}...", f"a name of {size} characters"
    return dataclasses.replace(array, name=name, reason=reason)


def own_reasons(arrays: Sequence[StoredArray]) -> Reasons:
    """The reasons against arrays that are no convolutions."""
    states = training_state(arrays)
    reasons = (array.reason or states.get(i) or _reason(array) for i, array in enumerate(arrays))
    return {index: reason for index, reason in enumerate(reasons) if reason}


def skipped_array(array: StoredArray, name: str, reason: str) -> Skipped:
    """The record of an array that is no layer."""
    is_weight = reason.endswith(_WITHOUT_SCALE) and _is_kernel(array)
    return Skipped(name, array.shape, array.dtype, reason, array.unread or is_weight)


def is_unreadable(array: StoredArray) -> bool:
    """Return whether the array is a convolution of known shape that cannot be read."""
    return array.unread and 3 <= len(array.shape) <= 5 and 0 not in array.shape


def _is_kernel(array: StoredArray) -> bool:
    """Return whether an array is called a weight and has taps, wherever its channels are."""
    shape = array.shape
    if bias_name(array.name) is None or not 3 <= len(shape) <= 5:
        return False
    return set(shape[2:]) != {1} and set(shape[:-2]) != {1}


def _reason(array: StoredArray) -> str | None:
    if 0 in array.shape:
        return f"empty {array.shape}"
    # A format that knows the groups of a convolution knows that it is one.
    by_name = named_reason(array) if array.groups is None else None
    # What is composed of integers and a scale is a weight of floats.
    dtype = None if array.applied == "dequantized" else _dtype_reason(array.dtype)
    return _rank_reason(array) or dtype or by_name


def _rank_reason(array: StoredArray) -> str | None:
    reasons = {0: "scalar", 1: "bias or scale (1-D)", 2: "dense (2-D)"}
    rank = len(array.shape)
    return reasons.get(rank) or (f"{rank} axes, more than a convolution has" if rank > 5 else None)


def _dtype_reason(dtype: str) -> str | None:
    if dtype.startswith(_FLOATS):
        return None
    kinds = {"bool": "boolean", "complex": "complex", "int": _INTEGER, "uint": _INTEGER}
    return next((kinds[kind] for kind in kinds if dtype.startswith(kind)), f"not numeric ({dtype})")
