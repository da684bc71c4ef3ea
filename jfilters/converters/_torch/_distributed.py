"""Tensors that are spread over several devices or files, and files that hold only a part of a network.

A part is read where it is certainly the whole, and set aside by name elsewhere.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import ForeignFormatError
from ...io import Global, Inert, InertMapping, Location
from .._foreign import PARTITIONS, kind_error
from .._stored import StoredArray

_FLAT = re.compile(r"_?flat_param(_\d+)?")
_SPREAD = (
    "a tensor that is spread over devices: "
    "save it with torch.distributed.checkpoint, whose shards are joined"
)
_REBUILT = ("torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2")
_PLACEMENTS = ("Shard", "Replicate")


class Local(NamedTuple):
    """The part of a spread tensor that a file holds, and what the whole is."""

    tensor: object
    shape: tuple[int, ...]
    placed: bool

    def reason(self, shape: tuple[int, ...]) -> str | None:
        """Why a part of this shape is not the whole; None where it is."""
        if shape != self.shape:
            return f"a shard, {shape} of the {self.shape} of {_SPREAD}"
        if not self.placed:
            return f"a shard or a summand of {_SPREAD}"
        return None


def local_part(value: object) -> Local | None:
    """The part that a DTensor or a ShardedTensor holds; None for any other value."""
    match value:
        case Inert(name=name, args=(_, Global(name=kind), tuple(args), state, *_)) if (
            name in _REBUILT and kind.endswith((".DTensor", ".ShardedTensor"))
        ):
            shape = _sizes(args[2] if len(args) > 2 else None)
            return (_of_dtensor if kind.endswith(".DTensor") else _of_shards)(shape, state)
    return None


def check_whole(saved: object, arrays: Sequence[StoredArray], path: Location) -> None:
    """Raises CheckpointError for a file that holds a partition of a network and no weights as they are."""
    if any(len(array.shape) > 1 and 0 not in array.shape and not array.reason for array in arrays):
        return
    if isinstance(saved, InertMapping) and _is_partition(saved):
        raise kind_error(PARTITIONS._replace(name=f"a part of {PARTITIONS.name}"), path)
    if any(is_flat(array.name) for array in arrays):
        reason = (
            "flat parameters of FSDP, a shard of the network without shapes, which are not read"
        )
        remedy = "save it with StateDictType.FULL_STATE_DICT"
        raise ForeignFormatError(reason, path=path, remedy=remedy)


def is_flat(name: str) -> bool:
    """Tell whether FSDP gave this name to parameters that it flattened into one."""
    return _FLAT.fullmatch(name.rpartition(".")[2]) is not None


def _of_dtensor(shape: tuple[int, ...], state: object) -> Local:
    attributes = _attributes(state)
    placements = _attributes(attributes.get("_spec")).get("placements")
    placed = isinstance(placements, list | tuple) and all(map(_is_placed, placements))
    return Local(attributes.get("_local_tensor"), shape, placed)


def _of_shards(shape: tuple[int, ...], state: object) -> Local:
    shards = state[0] if isinstance(state, tuple) and state else None
    single = shards[0] if isinstance(shards, list) and len(shards) == 1 else None
    return Local(_attributes(single).get("tensor"), shape, placed=True)


def _attributes(value: object) -> InertMapping:
    """The attributes in a state, of an object or alone; those in slots come second in a pair."""
    state = value.state if isinstance(value, Inert) else value
    parts = state if isinstance(state, tuple) else (state,)
    return InertMapping(item for part in parts if isinstance(part, InertMapping) for item in part)


def _is_placed(placement: object) -> bool:
    """Tell whether a part that is as large as the whole then is the whole; that of a sum is not."""
    return isinstance(placement, Inert) and placement.name.endswith(_PLACEMENTS)


def _sizes(value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple) and all(type(n) is int for n in value):
        return tuple(value)
    return ()


def _is_partition(saved: InertMapping) -> bool:
    """Tell whether DeepSpeed wrote this for one of its ranks."""
    optimizer = saved.get("optimizer_state_dict")
    is_optimizer = isinstance(optimizer, InertMapping) and optimizer.has("zero_stage")
    return is_optimizer or saved.has("param_shapes", "module")
