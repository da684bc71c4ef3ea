"""Parameters that ZeRO's third stage deals to the ranks in equal parts, joined by range as they are read.

The parts lie one after the other in the flat arrays of every rank, padded where a parameter is not evenly
dealt. As in DeepSpeed's zero_to_fp32.py.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ...errors import CheckpointError
from ...io import Inert, InertMapping, Location
from .._stored import StoredArray
from ._arrays import PickledArray, pickled_array
from ._storage import View
from ._walk import LONGEST_NAME, MAX_ARRAYS

JOIN = "join its partitions with DeepSpeed's zero_to_fp32.py and give the file that it writes"
_FLAT = "fp32_flat_groups"


class Shape(NamedTuple):
    """A parameter that the ranks hold in parts: its shape, and where its parts begin in all flat groups."""

    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


def parameter(shape: Shape, groups: Sequence[Sequence[View]], path: Location) -> StoredArray:
    """The stored array of a parameter that the ranks hold in parts."""
    reader = functools.partial(_gathered, shape, groups)
    dtype = groups[0][0].dtype.name
    return StoredArray(shape.name, shape.shape, dtype, reader, network="module")


def _gathered(shape: Shape, groups: Sequence[Sequence[View]]) -> np.ndarray:
    """A parameter from the parts of all ranks, the last of which are padded."""
    size = -(-shape.elements // len(groups))
    parts = [_slice(views, shape.start, shape.start + size) for views in groups]
    return np.concatenate(parts)[: shape.elements].reshape(shape.shape)


def _slice(views: Sequence[View], start: int, stop: int) -> np.ndarray:
    """Elements of flat arrays that follow each other."""
    parts, offset = [], 0
    for view in views:
        first, last = max(start - offset, 0), min(stop - offset, view.count)
        if first < last:
            part = dataclasses.replace(view, offset=view.offset + first, shape=(last - first,))
            parts.append(part.read())
        offset += view.count
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def placed(listed: object, ranks: int, path: Location) -> tuple[list[Shape], int]:
    """The parameters in the order of the flat groups, and the elements that every rank holds."""
    shapes, start = [], 0
    for part in (
        listed if isinstance(listed, list) and not isinstance(listed, InertMapping) else [listed]
    ):
        for name, shape in part.pairs() if isinstance(part, InertMapping) else ():
            item = Shape(*named_shape(name, shape, path), start)
            start += -(-item.elements // ranks)
            shapes.append(item)
            if len(shapes) > MAX_ARRAYS:
                refuse(path, f"more than {MAX_ARRAYS:,} parameters")
    if not shapes:
        refuse(path, "no param_shapes")
    return shapes, start


def named_shape(name: object, shape: Any, path: Location) -> tuple[str, tuple[int, ...]]:
    """The name and the shape of a parameter. Raises CheckpointError unless they are that."""
    is_shape = isinstance(shape, list | tuple) and len(shape) <= 32
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not is_shape:
        refuse(path, "param_shapes that are no names with shapes")
    if not all(type(size) is int and 0 < size < 1 << 48 for size in shape):
        refuse(path, f"param_shapes of a parameter of shape {tuple(shape)[:9]}")
    return name, tuple(shape)


def flat_views(file: Location, optimizer: InertMapping) -> list[View]:
    """The flat arrays that one rank holds, which follow each other."""
    listed = optimizer.get(_FLAT)
    arrays = [pickled_array(value) for value in (listed if isinstance(listed, list) else [listed])]
    views = [array.view for array in arrays if array and array.view and not array.reason]
    if not views or len(views) < len(arrays) or any(len(view.shape) != 1 for view in views):
        refuse(file, f"no flat arrays in {_FLAT}")
    if len({view.dtype for view in views}) > 1 or any(view.strides != (1,) for view in views):
        refuse(file, f"arrays of several kinds in {_FLAT}")
    return views


def part_view(array: PickledArray | None) -> View | None:
    """The part of a frozen parameter as a flat view; None if it is none."""
    view = array.view if array and not array.reason else None
    return view if view is not None and len(view.shape) == 1 and view.strides == (1,) else None


def number_of(value: object) -> int | None:
    """A number, or the one that a member of an enumeration stands for."""
    match value:
        case Inert(args=(int(number),)):
            return number
        case int():
            return value
    return None


def ranks_of(count: Any, path: Location) -> int:
    """The ranks of a job; of groups of parameters with several numbers of ranks the most."""
    counts: list[Any] = count if isinstance(count, list) and count else [count]
    if not all(type(number) is int and 0 < number < 1 << 20 for number in counts):
        refuse(path, "no partition_count")
    return max(counts)


def refuse(path: Location, reason: str) -> NoReturn:
    """Raise the error that names the tool which joins the partitions."""
    raise CheckpointError(reason, path=path, remedy=JOIN)
