"""Weights that are equal byte by byte: one weight under several names, which a format stores apart."""

import collections
from collections.abc import Iterator, Sequence

from .._names import qualified
from .._stored import StoredArray


def equal_arrays(arrays: Sequence[StoredArray], weights: Sequence[int]) -> dict[int, str]:
    """Return the reasons for weights that equal an earlier one, by index.

    Arrays of one shape are told apart by their first bytes; only those that agree in them are read. A
    constant array equals others of its shape without being one of them.
    """
    reasons = {}
    for group in _candidates(arrays, weights):
        values = arrays[group[0]].values()
        if values is None or values.min() == values.max():
            continue
        for index in group[1:]:
            later = arrays[index].values()
            if later is not None and values.tobytes() == later.tobytes():
                reasons[index] = f"the same values as {qualified(arrays[group[0]])}"
    return reasons


def _candidates(arrays: Sequence[StoredArray], weights: Sequence[int]) -> Iterator[list[int]]:
    """Groups of weights that agree in shape, dtype and their first bytes."""
    by_shape: dict[tuple, list[int]] = collections.defaultdict(list)
    for index in weights:
        array = arrays[index]
        if array.peek is not None:
            by_shape[array.shape, array.dtype].append(index)
    for members in by_shape.values():
        by_bytes: dict[bytes, list[int]] = collections.defaultdict(list)
        for index in members if len(members) > 1 else ():
            peek = arrays[index].peek
            by_bytes[bytes(peek()) if peek else b""].append(index)
        yield from (group for group in by_bytes.values() if len(group) > 1)
