"""DeepSpeed's ZeRO folders: weights in 16 bits where one file has them all, else joined from the partitions.

Stage 3 deals every parameter to the ranks in equal parts; their float32 parts lie one after the other in
the flat groups of the optimizer's files. Joined as DeepSpeed's zero_to_fp32.py does.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from ...errors import CheckpointError, ForeignFormatError
from ...io import Inert, InertMapping, Location, base_name, children, is_folder, open_source
from .._depth_names import natural_key
from .._foreign import promises_weights
from .._format import Format
from .._stored import StoredArray
from ._arrays import PickledArray, pickled_array
from ._saved import saved_value
from ._storage import View
from ._walk import LONGEST_NAME, MAX_ARRAYS, walk

_STATES = re.compile(r"(?:zero_pp_rank_(\d{1,6})_)?mp_rank_(\d{1,6})_model_states\.pt")
_OPTIMIZER = re.compile(r"(?:\w+?_)?zero_pp_rank_(\d{1,6})_mp_rank_(\d{1,6})_optim_states\.pt")
_JOIN = "join its partitions with DeepSpeed's zero_to_fp32.py and give the file that it writes"
_HALF = "the module's weights in 16 bits; those of float32 lie in the partitions of the optimizer"
_FLAT = "fp32_flat_groups"
_WHOLE = "mp_rank_00_model_states.pt"
_OTHER = "another file of weights beside the checkpoint, not read: give it by itself"


class _Files(NamedTuple):
    """The files of a folder, by kind, in the order of their ranks."""

    states: list[Location]
    optimizers: list[Location]
    model_ranks: set[int]


class Shape(NamedTuple):
    """A parameter that the ranks hold in parts: its shape, and where the parts begin in every flat group."""

    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


def _recognizes(path: Location, head: bytes) -> bool:
    """Tell whether a folder is of ZeRO; one file of all weights among other files stands for itself."""
    try:
        if head or not is_folder(path):
            return False
        files = _files(path)
        is_whole = [base_name(file) for file in files.states] == [_WHOLE]
        is_part = any(base_name(file).startswith("zero_pp_") for file in files.states)
        return is_part or (bool(files.optimizers) and not (is_whole and _others(path)))
    except (OSError, CheckpointError):
        return False


def _others(folder: Location) -> list[str]:
    """The names of files of weights in a folder that are none of DeepSpeed's."""
    names = (base_name(path) for path in children(folder))
    return [
        name
        for name in names
        if promises_weights(name)
        and not _STATES.fullmatch(name)
        and not _OPTIMIZER.fullmatch(name)
    ]


def _files(folder: Location) -> _Files:
    states, optimizers, ranks = [], [], set()
    for path in sorted(children(folder), key=lambda path: natural_key(base_name(path))):
        name = base_name(path)
        if match := _STATES.fullmatch(name):
            states.append(path)
        elif match := _OPTIMIZER.fullmatch(name):
            optimizers.append(path)
        if match:
            ranks.add(int(match[2]))
    return _Files(states, optimizers, ranks)


def _arrays(path: Location) -> list[StoredArray]:
    files = _files(path)
    if len(files.model_ranks) > 1:
        reason = f"a DeepSpeed checkpoint of {len(files.model_ranks)} model-parallel ranks, which are not merged"
        raise ForeignFormatError(reason, path=path, remedy=_JOIN)
    if not files.states:
        _refuse(path, "a DeepSpeed checkpoint without its model_states, which tell the parameters")
    saved = _mapping(files.states[0])
    left_out = [_left_out(name) for name in _others(path)]
    if len(files.states) == 1 and not _is_partition(saved):
        return _whole(files.states[0], saved) + left_out
    return _joined(path, files, saved) + left_out


def _left_out(name: str) -> StoredArray:
    def read() -> np.ndarray:
        raise CheckpointError(_OTHER, tensor=name)

    return StoredArray(name, (), "", read, reason=_OTHER)


def _is_partition(saved: InertMapping) -> bool:
    """Tell whether the module of a file has placeholders in place of its weights."""
    module = saved.get("module")
    pairs = module.pairs() if isinstance(module, InertMapping) else ()
    return any((array := pickled_array(value)) and array.shape == (0,) for _, value in pairs)


def _whole(path: Location, saved: InertMapping) -> list[StoredArray]:
    """The arrays of a file with all weights, as stages 1 and 2 write it."""
    return [_told(array) for array in walk(saved, path)]


def _told(array: StoredArray) -> StoredArray:
    is_half = array.dtype in ("float16", "bfloat16") and array.network == "module"
    return dataclasses.replace(array, note=_HALF) if is_half and not array.reason else array


def _joined(path: Location, files: _Files, saved: InertMapping) -> list[StoredArray]:
    if not files.optimizers:
        _refuse(path, "a DeepSpeed checkpoint without its optim_states, which hold the weights")
    optimizers = [_optimizer(file) for file in files.optimizers]
    stages = {_number(optimizer.get("zero_stage")) for optimizer in optimizers}
    if stages != {3}:
        _refuse(path, "partitions of a stage other than 3, beside no file of all weights")
    ranks = _world(optimizers[0].get("partition_count"), path)
    if ranks != len(optimizers):
        _refuse(path, f"the files of {len(optimizers)} ranks; the job had {ranks}")
    groups = [_flat_views(file, optimizer) for file, optimizer in zip(files.optimizers, optimizers, strict=True)]
    shapes, total = _placed(saved.get("param_shapes"), ranks, path)
    for views in groups:
        if sum(view.count for view in views) != total:
            _refuse(path, f"flat groups of another size than the {total} elements of the parameters")
    arrays = [_parameter(shape, groups, path) for shape in shapes]
    return [*arrays, *_frozen(files.states, saved, ranks, path), *_buffers(files.states[0], saved, shapes)]


def _parameter(shape: Shape, groups: Sequence[Sequence[View]], path: Location) -> StoredArray:
    reader = functools.partial(_gathered, shape, groups)
    dtype = groups[0][0].dtype.name
    return StoredArray(shape.name, shape.shape, dtype, reader, network="module")


def _gathered(shape: Shape, groups: Sequence[Sequence[View]]) -> np.ndarray:
    """A parameter from the parts of all ranks, the last of which are padded."""
    size = -(-shape.count // len(groups))
    parts = [_slice(views, shape.start, shape.start + size) for views in groups]
    return np.concatenate(parts)[: shape.count].reshape(shape.shape)


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


def _placed(listed: object, ranks: int, path: Location) -> tuple[list[Shape], int]:
    """The parameters in the order of the flat groups, and the elements that every rank holds."""
    shapes, start = [], 0
    for part in listed if isinstance(listed, list) and not isinstance(listed, InertMapping) else [listed]:
        for name, shape in part.pairs() if isinstance(part, InertMapping) else ():
            placed = Shape(*_named_shape(name, shape, path), start)
            start += -(-placed.count // ranks)
            shapes.append(placed)
            if len(shapes) > MAX_ARRAYS:
                _refuse(path, f"more than {MAX_ARRAYS:,} parameters")
    if not shapes:
        _refuse(path, "no param_shapes")
    return shapes, start


def _named_shape(name: object, shape: object, path: Location) -> tuple[str, tuple[int, ...]]:
    is_shape = isinstance(shape, list | tuple) and len(shape) <= 32
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not is_shape:
        _refuse(path, "param_shapes that are no names with shapes")
    if not all(type(size) is int and 0 < size < 1 << 48 for size in shape):
        _refuse(path, f"param_shapes of a parameter of shape {tuple(shape)[:9]}")
    return name, tuple(shape)


def _flat_views(file: Location, optimizer: InertMapping) -> list[View]:
    listed = optimizer.get(_FLAT)
    arrays = [pickled_array(value) for value in (listed if isinstance(listed, list) else [listed])]
    views = [array.view for array in arrays if array and array.view and not array.reason]
    if not views or len(views) < len(arrays) or any(len(view.shape) != 1 for view in views):
        _refuse(file, f"no flat arrays in {_FLAT}")
    if len({view.dtype for view in views}) > 1 or any(view.strides != (1,) for view in views):
        _refuse(file, f"arrays of several kinds in {_FLAT}")
    return views


def _frozen(
    files: Sequence[Location], saved: InertMapping, ranks: int, path: Location
) -> list[StoredArray]:
    """The parameters that were not trained, whose parts lie in the files of the model."""
    shapes = saved.get("frozen_param_shapes")
    if not isinstance(shapes, InertMapping) or not shapes:
        return []
    if len(files) != ranks:
        _refuse(path, f"{len(files)} model_states of {ranks} ranks, which hold parts of frozen parameters")
    fragments = [(_mapping(file) if file != files[0] else saved).get("frozen_param_fragments") for file in files]
    parts = [
        {name: pickled_array(value) for name, value in part.pairs() if isinstance(name, str)}
        for part in fragments
        if isinstance(part, InertMapping)
    ]
    arrays = []
    for name, shape in shapes.pairs():
        name, shape = _named_shape(name, shape, path)
        views = [_part_view(part.get(name)) for part in parts]
        size = -(-math.prod(shape) // ranks)
        if len(views) < ranks or any(view is None or view.count != size for view in views):
            _refuse(path, f"no equal parts of the frozen {name[:200]}")
        groups = [[view] for view in views if view is not None]
        arrays.append(_parameter(Shape(name, shape, 0), groups, path))
    return arrays


def _part_view(array: PickledArray | None) -> View | None:
    view = array.view if array and not array.reason else None
    return view if view is not None and len(view.shape) == 1 and view.strides == (1,) else None


def _buffers(path: Location, saved: InertMapping, shapes: Sequence[Shape]) -> list[StoredArray]:
    """The other arrays of the file, which every rank holds whole; a placeholder stands for a parameter."""
    names = {shape.name for shape in shapes}
    return [
        array
        for array in walk(saved, path)
        if array.shape != (0,)
        and not (array.network == "module" and array.name in names)
        and not array.network.startswith("frozen_param_fragments")
    ]


def _optimizer(file: Location) -> InertMapping:
    optimizer = _mapping(file).get("optimizer_state_dict")
    if not isinstance(optimizer, InertMapping):
        _refuse(file, "no optimizer_state_dict")
    return optimizer


def _number(value: object) -> object:
    """A number, or the one that a member of an enumeration stands for."""
    match value:
        case Inert(args=(int(number),)):
            return number
        case int():
            return value
    return None


def _world(count: object, path: Location) -> int:
    """The ranks of a job; of groups of parameters with several numbers of ranks the most."""
    counts = count if isinstance(count, list) and count else [count]
    if not all(type(number) is int and 0 < number < 1 << 20 for number in counts):
        _refuse(path, "no partition_count")
    return max(counts)


def _mapping(file: Location) -> InertMapping:
    value = saved_value(open_source(file))
    if not isinstance(value, InertMapping):
        _refuse(file, "a file of DeepSpeed that is no dict")
    return value


def _refuse(path: Location, reason: str) -> NoReturn:
    raise CheckpointError(reason, path=path, remedy=_JOIN)


FORMAT = Format(
    name="deepspeed",
    reads="ZeRO folders of DeepSpeed: weights of 16 bits of stages 1 and 2, joined partitions of stage 3",
    suffixes=(),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
