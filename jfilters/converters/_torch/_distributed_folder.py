"""Distributed checkpoints of torch (DCP): one `.metadata` that says which chunk lies in which file.

Every chunk is a torch file of its own inside a `.distcp` file. The metadata are a pickle, which is read
inertly; the chunks are opened as their tensor is read, and joined whatever ranks wrote them.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...errors import CheckpointError, ForeignFormatError
from ...io import (
    Cursor,
    Global,
    Inert,
    InertMapping,
    Location,
    base_name,
    children,
    is_folder,
    open_source,
    unpickle,
)
from .._format import Format
from .._not_weights import OPTIMIZER, path_reason
from .._stored import StoredArray
from ._chunks import Chunk, joined, tiling_fault
from ._distributed import is_flat
from ._storage import MAX_RANK, dtype_of
from ._walk import LONGEST_NAME, MAX_ARRAYS

METADATA, SUFFIX = ".metadata", ".distcp"
_CONVERT = (
    "convert it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE"
)
_Place = tuple[str, tuple[int, ...] | None]


def _recognizes(path: Location, head: bytes) -> bool:
    try:
        return (
            not head
            and is_folder(path)
            and any(base_name(child).endswith(SUFFIX) for child in children(path))
        )
    except (OSError, CheckpointError):
        return False


def _arrays(path: Location) -> list[StoredArray]:
    files = {base_name(child): child for child in children(path)}
    if METADATA not in files:
        reason = f"a distributed checkpoint without its {METADATA}, which is written last"
        raise CheckpointError(
            reason, path=path, remedy="fetch the whole folder, or use an earlier save"
        )
    record = _attributes(_unpickled(files[METADATA]))
    tensors, storage = record.get("state_dict_metadata"), record.get("storage_data")
    if not isinstance(tensors, InertMapping) or not isinstance(storage, InertMapping):
        raise _refusal(f"expected state_dict_metadata and storage_data in {METADATA}", path)
    paths = _paths(record.get("planner_data"))
    tensors = {name: value for name, value in tensors.pairs() if isinstance(name, str)}
    optimizers = _optimizers(paths)
    sources = dict(_sources(storage, files))
    arrays = [
        _stored(path, name, tensors[name], paths.get(name, (name,)), sources, optimizers)
        for name in _ordered(tensors, paths)
        if _is_tensor(tensors[name])
    ]
    _check_not_flat(arrays, path)
    return arrays


def _unpickled(path: Location) -> object:
    return unpickle(Cursor(open_source(path)), _no_storage)


def _no_storage(identity: object) -> object:
    raise CheckpointError(f"a {METADATA} that refers to a storage")


def _attributes(value: object) -> InertMapping:
    state = value.state if isinstance(value, Inert) else None
    return state if isinstance(state, InertMapping) else InertMapping()


def _paths(planner: object) -> dict[str, tuple[str, ...]]:
    """The keys that lead to each tensor in the saved dict, by its flat name, in the order of saving."""
    pairs = planner.pairs() if isinstance(planner, InertMapping) else ()
    return {
        name: tuple(map(str, keys))
        for name, keys in pairs
        if isinstance(name, str)
        and isinstance(keys, tuple)
        and 0 < len(keys) <= MAX_RANK
        and all(isinstance(key, str | int) for key in keys)
    }


def _ordered(tensors: Iterable[str], paths: Iterable[str]) -> Iterator[str]:
    """The names of tensors in the order of saving: ranks that share the work shuffle the metadata."""
    names = dict.fromkeys(tensors)
    if len(names) > MAX_ARRAYS:
        raise CheckpointError(f"more than {MAX_ARRAYS:,} tensors")
    first = dict.fromkeys(name for name in paths if name in names)
    return iter(first | names)


def _optimizers(paths: dict[str, tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The places of dicts with the two keys that every optimizer of torch has."""
    states = {path[: path.index("state")] for path in paths.values() if "state" in path}
    groups = {
        path[: path.index("param_groups")] for path in paths.values() if "param_groups" in path
    }
    return states & groups


def _is_tensor(value: object) -> bool:
    return isinstance(value, Inert) and value.name.endswith(".TensorStorageMetadata")


def _sources(storage: InertMapping, files: dict[str, Location]) -> Iterator[tuple[_Place, tuple]]:
    """The file and the bytes of each chunk, by the name of its tensor and its offsets."""
    for index, info in storage.pairs():
        key, place = _attributes(index), _attributes(info)
        name, file = key.get("fqn"), place.get("relative_path")
        start, length = place.get("offset"), place.get("length")
        if not isinstance(name, str) or not isinstance(file, str):
            continue
        if type(start) is not int or type(length) is not int or min(start, length) < 0:
            raise CheckpointError("expected the offset and length of a chunk", tensor=name[:99])
        offsets = key.get("offset")
        at = _sizes(offsets, name) if offsets is not None else None
        yield (name, at), (file, files.get(file), start, length, place.get("transform_descriptors"))


def _stored(
    path: Location,
    name: str,
    value: Any,
    keys: tuple[str, ...],
    sources: dict[_Place, tuple],
    optimizers: set[tuple[str, ...]],
) -> StoredArray:
    if len(name) > LONGEST_NAME or sum(map(len, keys)) > LONGEST_NAME:
        raise _refusal(f"a name of more than {LONGEST_NAME} characters", path)
    record = _attributes(value)
    properties, shape = record.get("properties"), _sizes(record.get("size"), name)
    state = properties.state if isinstance(properties, Inert) else None
    kind = state[0] if isinstance(state, tuple) and state else None
    dtype = dtype_of(kind.name) if isinstance(kind, Global) else None
    is_state = any(keys[:end] in optimizers for end in range(len(keys)))
    reason = path_reason([key.lower() for key in keys]) or (OPTIMIZER if is_state else None)
    array = StoredArray(
        name=keys[-1],
        shape=shape,
        dtype=dtype.name if dtype else "unknown",
        read=_unread(name),
        network=".".join(keys[:-1]),
        reason=reason,
    )
    if reason:
        return array
    return _with_chunks(path, name, array, dtype, record.get("chunks"), sources)


def _with_chunks(
    path: Location,
    name: str,
    array: StoredArray,
    dtype: np.dtype | None,
    listed: object,
    sources: dict[_Place, tuple],
) -> StoredArray:
    if dtype is None or 0 in array.shape:
        return dataclasses.replace(array, reason=f"dtype {array.dtype} or shape is not read")
    chunks = _chunks(path, name, listed, sources)
    if chunks is None:
        reason = "chunks that were transformed as they were saved, such as compressed ones"
        return dataclasses.replace(array, reason=reason, unread=len(array.shape) > 2)
    if fault := tiling_fault(array.shape, chunks):
        raise CheckpointError(fault, path=path, tensor=name, remedy=_CONVERT)
    return dataclasses.replace(array, read=functools.partial(joined, array.shape, dtype, chunks))


def _chunks(
    path: Location, name: str, listed: object, sources: dict[_Place, tuple]
) -> list[Chunk] | None:
    """The chunks of one tensor; None if their bytes are not those of a torch file."""
    chunks: dict[tuple[int, ...], Chunk] = {}
    for value in listed if isinstance(listed, list) else []:
        record = _attributes(value)
        offsets, sizes = (_sizes(record.get(key), name) for key in ("offsets", "sizes"))
        if 0 in sizes or offsets in chunks:
            continue
        source = sources.get((name, offsets)) or sources.get((name, None))
        if source is None:
            raise CheckpointError(f"no file holds the chunk at {offsets}", path=path, tensor=name)
        file, place, start, length, transforms = source
        if transforms:
            return None
        if place is None:
            remedy = "fetch the files of all ranks into one folder"
            raise CheckpointError(f"{file!r} is missing", path=path, tensor=name, remedy=remedy)
        chunks[offsets] = Chunk(offsets, sizes, place, start, start + length)
    return list(chunks.values())


def _sizes(value: Any, name: str) -> tuple[int, ...]:
    is_tuple = isinstance(value, list | tuple) and len(value) <= MAX_RANK
    if is_tuple and all(type(n) is int and 0 <= n < 1 << 48 for n in value):
        return tuple(value)
    raise CheckpointError("expected a shape or offsets in the metadata", tensor=name[:99])


def _unread(name: str) -> Any:
    def read() -> np.ndarray:
        raise CheckpointError("not read", tensor=name)

    return read


def _check_not_flat(arrays: list[StoredArray], path: Location) -> None:
    if any(is_flat(array.name) for array in arrays if not array.reason):
        reason = "flat parameters of FSDP, without the shapes of the weights, which are not read"
        remedy = "save it with StateDictType.SHARDED_STATE_DICT or FULL_STATE_DICT"
        raise ForeignFormatError(reason, path=path, remedy=remedy)


def _refusal(reason: str, path: Location) -> CheckpointError:
    return CheckpointError(reason, path=path, remedy=_CONVERT)


FORMAT = Format(
    name="torch-distributed",
    reads="distributed checkpoints of torch (DCP): a folder with .metadata, shards of all ranks joined",
    suffixes=(SUFFIX,),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
