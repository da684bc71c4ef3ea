"""Layers whose weights lie in one array: of nn.scan, vmapped ensembles, and saves from several devices.

Each layer becomes an array of its own, read from the common one.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._stacks import DENSE, LOCAL, Blocks, Stack, is_tall
from ._stored import StoredArray

_REPLICATED = "the first of {} equal copies, as several devices save them"


class _Values:
    """The values of a stack, read once as long as its layers are read one after the other."""

    def __init__(self, array: StoredArray, stack: Stack):
        self._array, self._stack = array, stack
        self._last = tuple(size - 1 for size in stack.sizes)
        self._values: Any = None

    def layer(self, number: tuple[int, ...]) -> Any:
        """The array of one layer; the whole is let go with the last one."""
        values = self._array.read() if self._values is None else self._values
        self._values = None if number == self._last else values
        index: list[Any] = [slice(None)] * len(self._array.shape)
        for axis, place in zip(self._stack.axes, number, strict=True):
            index[axis] = place
        return values[tuple(index)]


def unstack(arrays: Sequence[StoredArray], *, compare: bool) -> list[StoredArray]:
    """Return the arrays with one for each layer in place of a stack; others as they are, or with a reason.

    Without `compare` no value is read, and copies from several devices count as layers.
    """
    if not _may_hold_stacks(arrays):
        return list(arrays)
    blocks = Blocks(arrays)
    stacks = blocks.stacks()
    copies = _sizes_of_copies(arrays, stacks) if compare else set()
    result: list[StoredArray] = []
    for index, array in enumerate(arrays):
        stack = stacks.get(index)
        if stack is None:
            result.append(array)
        elif isinstance(stack, str):
            is_unreadable = stack not in (LOCAL, DENSE)
            result.append(dataclasses.replace(array, reason=stack, unread=is_unreadable))
        else:
            is_copied = stack.sizes in copies and len(array.shape) > 3
            result += _layers(array, stack, blocks.root(index, stack), is_copied=is_copied)
    return result


def _may_hold_stacks(arrays: Sequence[StoredArray]) -> bool:
    ranks = {len(array.shape) for array in arrays if array.reason is None and len(array.shape) > 2}
    return any(array.stacked or is_tall(array) for array in arrays) or len(ranks) > 1


def _sizes_of_copies(
    arrays: Sequence[StoredArray], stacks: Mapping[int, Stack | str]
) -> set[tuple[int, ...]]:
    """The sizes of stacks all of whose kernels are equal copies; the first that is not settles it.

    A kernel that is still zero in every layer is equal too, beside others that are not.
    """
    groups: dict[tuple[int, ...], list[tuple[StoredArray, Stack]]] = {}
    for index, stack in stacks.items():
        if isinstance(stack, Stack) and len(arrays[index].shape) > 3:
            groups.setdefault(stack.sizes, []).append((arrays[index], stack))
    return {
        sizes
        for sizes, group in groups.items()
        if all(_is_replicated(array, stack) for array, stack in group)
    }


def _layers(
    array: StoredArray, stack: Stack, root: int, *, is_copied: bool
) -> Iterator[StoredArray]:
    values, shape = _Values(array, stack), stack.layer_shape(array.shape)
    if is_copied:
        reader = functools.partial(values.layer, (0,) * len(stack.axes))
        note = _REPLICATED.format(math.prod(stack.sizes))
        yield dataclasses.replace(array, shape=shape, read=reader, note=note, peek=None, stacked=0)
        return
    for number in stack.numbers():
        reader = functools.partial(values.layer, number)
        layer = dataclasses.replace(array, shape=shape, read=reader, peek=None, stacked=0)
        yield _numbered(layer, root, "".join(f"[{index}]" for index in number))


def _is_replicated(array: StoredArray, stack: Stack) -> bool:
    values = array.values()
    if values is None:
        return False
    leading = np.moveaxis(values, stack.axes, range(len(stack.axes)))
    rows = leading.reshape(math.prod(stack.sizes), -1)
    return len(rows) > 1 and all((row == rows[0]).all() for row in rows[1:])


def _numbered(array: StoredArray, root: int, number: str) -> StoredArray:
    """The array with the number of its layer behind the component of its name that holds the stack."""
    if not root:
        return dataclasses.replace(array, network=f"{array.network}{number}")
    ends = [*(at for at, letter in enumerate(array.name) if letter in "./"), len(array.name)]
    end = ends[root - 1]
    return dataclasses.replace(array, name=f"{array.name[:end]}{number}{array.name[end:]}")
