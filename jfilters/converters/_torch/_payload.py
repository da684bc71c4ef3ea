"""The arrays of an exported program: raw storages of today's archives, pickles of those before."""

import dataclasses
from typing import Any

from ...errors import CheckpointError
from ...io import InertMapping, ZipArchive, json_object
from ._arrays import PickledArray, pickled_array
from ._operators import dtype_name
from ._saved import member_source, saved_array, saved_value
from ._storage import Storage, View, dtype_of

_STRIDED = 7
_PREFIX = {"weights": "weight_", "constants": "tensor_"}

Arrays = dict[str, PickledArray]


def payload(archive: ZipArchive, root: str, kind: str, model: str) -> Arrays:
    """The arrays of one kind, "weights" or "constants", of a model in an archive, by name.

    A config beside raw storages since torch 2.9, one pickle in 2.8 and before.
    """
    folder = f"{root}data/{kind}/"
    config, pickle = f"{folder}{model}_{kind}_config.json", f"{folder}{model}.pt"
    if config in archive.members:
        return _listed(archive, folder, config)
    return pickled(archive, pickle) if pickle in archive.members else {}


def pickled(archive: ZipArchive, member: str) -> Arrays:
    """The arrays of a dict that torch.save wrote into a member; what is no array is left out."""
    if archive.size(member) == 0:
        return {}
    value = saved_value(member_source(archive, member))
    pairs = value.pairs() if isinstance(value, InertMapping) else ()
    arrays = {name: pickled_array(part) for name, part in pairs if isinstance(name, str)}
    return {name: array for name, array in arrays.items() if array is not None}


def _listed(archive: ZipArchive, folder: str, config: str) -> Arrays:
    source = member_source(archive, config)
    entries = json_object(source).get("config")
    if not isinstance(entries, dict):
        raise CheckpointError(f"expected the arrays of {config}", path=source.path)
    storages, arrays = _Payloads(archive, folder), {}
    for name, entry in entries.items():
        try:
            array = _array(archive, storages, folder, entry)
        except (KeyError, TypeError, AttributeError) as error:
            reason = f"no record of an array in {config} ({str(error)[:80]})"
            raise CheckpointError(reason, path=source.path, tensor=name[:200]) from error
        if array is not None:
            arrays[name] = array
    return arrays


def _array(
    archive: ZipArchive, storages: "_Payloads", folder: str, entry: dict[str, Any]
) -> PickledArray | None:
    member, meta = entry["path_name"], entry["tensor_meta"]
    if meta is None:  # an object of a class of its own
        return None
    if entry["use_pickle"]:
        return _of_subclass(archive, f"{folder}{member}", meta)
    shape, strides = _numbers(meta["sizes"]), _numbers(meta["strides"])
    kind, dtype = dtype_name(meta["dtype"]), dtype_of(dtype_name(meta["dtype"]))
    if dtype is None or meta["layout"] != _STRIDED:
        return _unread(shape, kind, f"dtype {kind} or its layout is not read")
    offset, size = _number(meta["storage_offset"]), storages.size(member)
    storage = Storage(storages, member, kind, size // dtype.itemsize)
    view = View(storage, dtype, offset, shape, strides)
    if view.repeats:
        reason = f"{view.count} elements that repeat {view.extent} stored ones"
        return dataclasses.replace(_unread(shape, dtype.name, reason), view=view)
    return PickledArray(shape, dtype.name, view.read, view=view)


def _of_subclass(archive: ZipArchive, member: str, meta: dict[str, Any]) -> PickledArray:
    try:
        return saved_array(member_source(archive, member))
    except CheckpointError as error:
        reason = f"a tensor of a class of its own, which is not read ({error.reason})"
        return _unread(_numbers(meta["sizes"]), dtype_name(meta["dtype"]), reason)


def _unread(shape: tuple[int, ...], kind: str, reason: str) -> PickledArray:
    def read() -> Any:
        raise CheckpointError(reason)

    return PickledArray(shape, kind, read, reason, unread=True)


def _numbers(values: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(map(_number, values))


def _number(value: dict[str, Any]) -> int:
    number = value["as_int"]
    if type(number) is not int:
        raise TypeError(f"expected an integer, found {str(number)[:40]}")
    return number


class _Payloads:
    """The storages of an archive, each a member with the bytes alone."""

    base = 0
    big_endian = False

    def __init__(self, archive: ZipArchive, folder: str):
        self._archive, self._folder = archive, folder

    def size(self, key: str) -> int:
        """The bytes of a storage."""
        return self._archive.size(f"{self._folder}{key}")

    def read(self, key: str, start: int, stop: int) -> memoryview:
        """The bytes start..stop of a storage."""
        base = self._archive.start(f"{self._folder}{key}")
        return self._archive.source.read(base + start, base + stop)
