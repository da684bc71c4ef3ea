"""DeepSpeed's ZeRO folders: weights in 16 bits where one file has them all, else joined from partitions.

Stage 3 deals every parameter to the ranks in equal parts; their float32 parts lie one after the other in
the flat groups of the optimizer's files. Joined as DeepSpeed's zero_to_fp32.py does.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...errors import CheckpointError, ForeignFormatError
from ...io import InertMapping, Location, base_name, children, is_folder, open_source
from .._depth_names import natural_key
from .._foreign import promises_weights
from .._format import Format
from .._stored import StoredArray
from ._arrays import pickled_array
from ._partitions import (
    Shape,
    flat_views,
    named_shape,
    number_of,
    parameter,
    part_view,
    placed,
    ranks_of,
    refuse,
)
from ._saved import saved_value
from ._walk import walk

_STATES = re.compile(r"(?:zero_pp_rank_(\d{1,6})_)?mp_rank_(\d{1,6})_model_states\.pt")
_OPTIMIZER = re.compile(r"(?:\w+?_)?zero_pp_rank_(\d{1,6})_mp_rank_(\d{1,6})_optim_states\.pt")
_HALF = "the module's weights in 16 bits; those of float32 lie in the partitions of the optimizer"
_WHOLE = "mp_rank_00_model_states.pt"
_OTHER = "another file of weights beside the checkpoint, not read: give it by itself"


class _Files(NamedTuple):
    """The files of a folder, by kind, in the order of their ranks."""

    states: list[Location]
    optimizers: list[Location]
    model_ranks: set[int]


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
        if promises_weights(name) and not _STATES.fullmatch(name) and not _OPTIMIZER.fullmatch(name)
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
        count = len(files.model_ranks)
        reason = f"a DeepSpeed checkpoint of {count} model-parallel ranks, which are not merged"
        remedy = "merge the ranks into one with the tools of its framework"
        raise ForeignFormatError(reason, path=path, remedy=remedy)
    if not files.states:
        refuse(path, "a DeepSpeed checkpoint without its model_states, which tell the parameters")
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
        refuse(path, "a DeepSpeed checkpoint without its optim_states, which hold the weights")
    optimizers = [_optimizer(file) for file in files.optimizers]
    stages = {number_of(optimizer.get("zero_stage")) for optimizer in optimizers}
    if stages != {3}:
        refuse(path, "partitions of a stage other than 3, beside no file of all weights")
    ranks = ranks_of(optimizers[0].get("partition_count"), path)
    if ranks != len(optimizers):
        refuse(path, f"the files of {len(optimizers)} ranks; the job had {ranks}")
    groups = [
        flat_views(file, optimizer)
        for file, optimizer in zip(files.optimizers, optimizers, strict=True)
    ]
    shapes, total = placed(saved.get("param_shapes"), ranks, path)
    for views in groups:
        if sum(view.count for view in views) != total:
            refuse(path, f"flat groups of another size than the {total} elements of the parameters")
    arrays = [parameter(shape, groups, path) for shape in shapes]
    return [
        *arrays,
        *_frozen(files.states, saved, ranks, path),
        *_buffers(files.states[0], saved, shapes),
    ]


def _frozen(
    files: Sequence[Location], saved: InertMapping, ranks: int, path: Location
) -> list[StoredArray]:
    """The parameters that were not trained, whose parts lie in the files of the model."""
    shapes = saved.get("frozen_param_shapes")
    if not isinstance(shapes, InertMapping) or not shapes:
        return []
    if len(files) != ranks:
        refuse(
            path,
            f"{len(files)} model_states of {ranks} ranks, which hold parts of frozen parameters",
        )
    fragments = [
        (_mapping(file) if file != files[0] else saved).get("frozen_param_fragments")
        for file in files
    ]
    parts = [
        {name: pickled_array(value) for name, value in part.pairs() if isinstance(name, str)}
        for part in fragments
        if isinstance(part, InertMapping)
    ]
    arrays = []
    for name, shape in shapes.pairs():
        name, shape = named_shape(name, shape, path)
        views = [part_view(part.get(name)) for part in parts]
        size = -(-math.prod(shape) // ranks)
        if len(views) < ranks or any(view is None or view.count != size for view in views):
            refuse(path, f"no equal parts of the frozen {name[:200]}")
        groups = [[view] for view in views if view is not None]
        arrays.append(parameter(Shape(name, shape, 0), groups, path))
    return arrays


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
        refuse(file, "no optimizer_state_dict")
    return optimizer


def _mapping(file: Location) -> InertMapping:
    value = saved_value(open_source(file))
    if not isinstance(value, InertMapping):
        refuse(file, "a file of DeepSpeed that is no dict")
    return value


FORMAT = Format(
    name="deepspeed",
    reads="ZeRO folders of DeepSpeed: weights of 16 bits of stages 1 and 2, joined partitions of stage 3",
    suffixes=(),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
