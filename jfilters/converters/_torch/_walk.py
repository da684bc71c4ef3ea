"""From a pickle to its stored arrays: names, networks, and what modules say about convolutions.

The walk goes through dicts, lists, modules and unknown objects alike, in the order of storage, and
keeps no place on Python's own stack.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...errors import CheckpointError
from ...io import Inert, InertMapping, Location
from .._axes import for_rank
from .._stored import StoredArray
from ._arrays import PickledArray, pickled_array
from ._distributed import check_whole
from ._storage import Storage

MAX_ARRAYS = 100_000
"""Arrays of one file."""

MAX_DEPTH = 500
"""Containers inside each other, on the way to an array."""

LONGEST_NAME = 1000
"""Characters in the name of an array."""

_OPTIMIZER = "optimizer state"
_BUFFER = "kept by a convolution beside its weight"
_WEIGHT = re.compile(r"weight(_(orig|mask|bar|g|v|u|scale|zero_point))?")
_KEYS = "_parameters", "_buffers", "_modules"
_PARAMETERS = {"w", "b", "kernel", "bias", "weight", "scale", "offset", "mean", "var", "embedding"}
_SCRIPTED = re.compile(r"__torch__\.torch\.nn\.modules\.conv\..*?Conv(Transpose)?\dd")


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """The place of a value, and the facts that its surroundings give.

    `path[:root]` leads to the network and the rest is the name within it; inside a module, which is
    one network however deep it goes, the root is fixed. `has_weight`: the convolution that it lies in keeps
    its weight under the usual name, so that no other array there is one.
    """

    path: tuple[str, ...] = ()
    root: int = 0
    fixed: bool = False
    reason: str | None = None
    groups: int | None = None
    transposed: bool | None = None
    has_weight: bool = False

    def child(self, key: object, index: int) -> "_Place":
        """The place of a value inside this one."""
        part = str(key) if isinstance(key, str | int | float) else f"[{index}]"
        return dataclasses.replace(self, path=(*self.path, part))


_Item = tuple[object, _Place]


def arrays_of(value: object, path: Location) -> list[StoredArray]:
    """The arrays of what a whole file holds. Raises `CheckpointError` where that is a part of a network."""
    arrays = walk(value, path)
    check_whole(value, arrays, path)
    return arrays


def walk(value: object, path: Location) -> list[StoredArray]:
    """The arrays in a value of `unpickle`; `path` is the file's. Raises `CheckpointError`."""
    arrays, names = [], {}
    for array, place in _located(value, path):
        stored = _stored(array, place, path)
        stored = _unique(stored, array, names)
        arrays.append(stored)
        if len(arrays) > MAX_ARRAYS:
            raise CheckpointError(f"more than {MAX_ARRAYS:,} arrays", path=path)
    return arrays


def _located(value: object, path: Location) -> Iterator[tuple[PickledArray, _Place]]:
    """Every array with its place, each container entered once."""
    visited, open_items = set(), [iter([(value, _Place())] if _may_hold(value) else [])]
    while open_items:
        for value, place in open_items[-1]:
            array = _array(value, place, path)
            if array:
                yield array, place
            elif id(_contents(value)) not in visited:
                visited.add(id(_contents(value)))
                open_items.append(_children(value, place))
                break
        else:
            open_items.pop()
        if len(open_items) > MAX_DEPTH:
            raise CheckpointError(f"more than {MAX_DEPTH} containers inside each other", path=path)


def _may_hold(value: object) -> bool:
    """Return whether a value can be an array or hold one; most values are numbers and strings."""
    return isinstance(value, Inert | Storage) or (
        isinstance(value, list | tuple) and len(value) > 0
    )


def _contents(value: object) -> object:
    """Return the object by which a container is recognized: many objects may share one state."""
    return _attributes(value) if isinstance(value, Inert) else value


def _attributes(record: Inert) -> object:
    """The attributes of an object without those in slots; the object itself if it has none."""
    state = record.state[0] if isinstance(record.state, tuple) and record.state else record.state
    return state if isinstance(state, InertMapping) else record


def _array(value: object, place: _Place, path: Location) -> PickledArray | None:
    try:
        return pickled_array(value)
    except CheckpointError as error:
        raise _named(error, path, ".".join(place.path)[:LONGEST_NAME]) from None


def _reader(array: PickledArray, path: Location, tensor: str) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        try:
            return array.read()
        except CheckpointError as error:
            raise _named(error, path, tensor) from None

    return read


def _named(error: CheckpointError, path: Location, tensor: str) -> CheckpointError:
    """The same error, saying which file and which array unless it says so already."""
    if error.path:
        return error
    return CheckpointError(error.reason, path=path, tensor=tensor, remedy=error.remedy)


def _children(value: Any, place: _Place) -> Iterator[_Item]:
    if isinstance(value, InertMapping):
        return _in_mapping(value, place)
    if isinstance(value, Inert):
        return _in_object(value, place)
    return ((part, place.child(i, i)) for i, part in enumerate(value) if _may_hold(part))


def _in_mapping(mapping: InertMapping, place: _Place) -> Iterator[_Item]:
    if not place.fixed:
        root = 0 if _is_layer(mapping) else len(place.path)
        place = dataclasses.replace(place, root=root)
    if mapping.has("state", "param_groups"):
        place = dataclasses.replace(place, reason=_OPTIMIZER)
    for index, (key, value) in enumerate(mapping.pairs()):
        if _may_hold(value):
            yield value, place.child(key, index)


def _is_layer(mapping: InertMapping) -> bool:
    """Return whether a dict of NumPy or JAX arrays is one layer of a nested dict rather than a network."""
    if not {key for key in mapping[::2] if isinstance(key, str)} <= _PARAMETERS:
        return False
    return any((array := pickled_array(value)) and not array.torch for value in mapping[1::2])


def _in_object(record: Inert, place: _Place) -> Iterator[_Item]:
    state = _attributes(record)
    # An AveragedModel of torch.optim.swa_utils is a network.
    if record.name.startswith("torch.optim.") and ".swa_utils." not in record.name:
        place = dataclasses.replace(place, reason=_OPTIMIZER)
    if isinstance(state, InertMapping):
        if state.has(*_KEYS):
            return _in_module(state, place)
        if record.name.startswith("__torch__."):
            return _in_mapping(state, _scripted(record.name, place))
    module = _made_of(record)
    if module is not None:
        return _in_module(module, place)
    attributes = _in_mapping(state, place) if isinstance(state, InertMapping) else iter(())
    parts = (record.args, record.state, record.items, record.pairs)
    return itertools.chain(attributes, ((part, place) for part in parts if _may_hold(part)))


def _made_of(record: Inert) -> InertMapping | None:
    """The dict of the module that a function makes anew, as those of torch.fx are stored."""
    args = record.args if isinstance(record.args, tuple) else ()
    return next((arg for arg in args if isinstance(arg, InertMapping) and arg.has(*_KEYS)), None)


def _in_module(state: InertMapping, place: _Place) -> Iterator[_Item]:
    """Parameters, buffers and modules of a pickled torch.nn.Module, then whatever else it keeps."""
    place = _module(place)
    parameters = dataclasses.replace(place, **_convolution(state))
    for key in _KEYS:
        if _may_hold(state.get(key)):
            yield state.get(key), place if key == "_modules" else parameters
    for index, (name, value) in enumerate(state.pairs()):
        if name not in _KEYS and _may_hold(value):
            yield value, place.child(name, index)


def _module(place: _Place) -> _Place:
    root = place.root if place.fixed else len(place.path)
    return dataclasses.replace(
        place, root=root, fixed=True, groups=None, transposed=None, has_weight=False
    )


def _convolution(state: InertMapping) -> dict[str, int | bool]:
    """Return the facts that a module that is a convolution gives about its weight."""
    groups, transposed = state.get("groups"), state.get("transposed")
    if not isinstance(transposed, bool) or type(groups) is not int or groups < 1:
        return {}
    parameters = state.get("_parameters")
    names = parameters[::2] if isinstance(parameters, InertMapping) else []
    has_weight = any(isinstance(name, str) and _WEIGHT.fullmatch(name) for name in names)
    return {"groups": groups, "transposed": transposed, "has_weight": has_weight}


def _scripted(name: str, place: _Place) -> _Place:
    """The place of a TorchScript object, whose class tells what kind of convolution it was."""
    match = _SCRIPTED.fullmatch(name)
    return dataclasses.replace(_module(place), transposed=match[1] is not None if match else None)


def _stored(array: PickledArray, place: _Place, path: Location) -> StoredArray:
    root = min(place.root, max(len(place.path) - 1, 0))
    name, network = ".".join(place.path[root:]), ".".join(place.path[:root])
    if len(name) + len(network) > LONGEST_NAME:
        raise CheckpointError(f"a name of more than {LONGEST_NAME} characters", path=path)
    weight = 3 <= len(array.shape) <= 5
    is_buffer = weight and place.has_weight and not _WEIGHT.fullmatch(place.path[-1])
    axes = for_rank("IOHW" if place.transposed else "OIHW", len(array.shape)) if weight else None
    return StoredArray(
        name=name or "tensor",
        shape=array.shape,
        dtype=array.dtype,
        read=_reader(array, path, name),
        axes=axes if array.torch else None,
        groups=place.groups if weight else None,
        transposed=place.transposed if weight else None,
        network=network,
        reason=place.reason or array.reason or (_BUFFER if is_buffer else None),
        peek=_peek(array),
        unread=array.unread and weight and not place.reason,
    )


def _peek(array: PickledArray) -> Callable[[], memoryview] | None:
    """The first bytes of an array whose values are the stored ones."""
    is_stored = array.view and array.view.is_plain and array.dtype == array.view.dtype.name
    return array.view.peek if array.view and is_stored else None


def _unique(stored: StoredArray, array: PickledArray, names: dict[tuple, str]) -> StoredArray:
    """The array, with its reason if it is a view that came before under another name."""
    if stored.reason or array.view is None or array.view.count == 0:
        return stored
    full = f"{stored.network}.{stored.name}".strip(".")
    first = names.setdefault(array.view.identity, full)
    if first is full:
        return stored
    return dataclasses.replace(stored, reason=f"the same storage as {first}")
