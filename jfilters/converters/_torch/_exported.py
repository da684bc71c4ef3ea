"""Programs of torch.export (.pt2): the weights that the graph convolves with, as it computes them.

The graph says groups, kind and depth of every convolution, and which stored arrays its weight comes from:
one as it is, or several through weight norm, masks or the scales of a quantization.
"""

import dataclasses
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ...errors import CheckpointError, ForeignFormatError
from ...io import Location, ZipArchive, json_object, open_source
from ...layers import Applied
from .._axes import for_rank
from .._format import Format
from .._stored import StoredArray
from ._arrays import PickledArray
from ._evaluate import dtype_name, evaluate, obstacle, operators
from ._payload import Arrays, payload, pickled
from ._program import Convolution, Data, Leaf, Step, Term, convolutions, leaf_names
from ._saved import member_source
from ._walk import LONGEST_NAME, MAX_ARRAYS

_ZIP = b"PK\x03\x04"
_FORMAT, _COMPILED = "archive_format", "data/aotinductor/"
_OLD, _OLD_WEIGHTS, _OLD_CONSTANTS = (
    "serialized_exported_program.json", "serialized_state_dict.pt", "serialized_constants.pt",
)  # fmt: skip
_MODEL = re.compile(r"models/([^/]+)\.json")
_PARAMETRIZED = re.compile(r"\.parametrizations\.(\w+)\.original\d*$|_(orig|v)$")
_MOVES = {
    f"aten.{name}"
    for name in (
        *("clone", "detach", "detach_", "alias", "contiguous", "lift_fresh_copy", "to", "_to_copy"),
        *("view", "reshape", "_unsafe_view", "unsqueeze", "squeeze"),
    )
}
_UNUSED = "no weight of a convolution in the graph"


class _Program(NamedTuple):
    network: str
    convolutions: list[Convolution]
    arrays: Arrays
    constants: Arrays


def _recognizes(path: Location, head: bytes) -> bool:
    if not head.startswith(_ZIP):
        return False
    try:
        names = ZipArchive(open_source(path)).members
    except CheckpointError:
        return False
    return _OLD in names or any(name.endswith(f"/{_FORMAT}") for name in names)


def _arrays(path: Location) -> list[StoredArray]:
    archive = ZipArchive(open_source(path))
    try:
        programs = list(_programs(archive))
        arrays = [array for program in programs for array in _stored(program, path)]
    except CheckpointError as error:
        if error.path:
            raise
        raise CheckpointError(error.reason, path=path, remedy=error.remedy) from error
    if len(arrays) > MAX_ARRAYS:
        raise CheckpointError(f"more than {MAX_ARRAYS:,} arrays", path=path)
    return arrays


def _programs(archive: ZipArchive) -> Iterator[_Program]:
    if _OLD in archive.members:
        yield _program(archive, _OLD, "", pickled(archive, _OLD_WEIGHTS), _old_constants(archive))
        return
    root = next(name for name in archive.members if name.endswith(f"/{_FORMAT}"))[: -len(_FORMAT)]
    below = [name[len(root) :] for name in archive.members if name.startswith(root)]
    models = [match[1] for name in below if (match := _MODEL.fullmatch(name))]
    if not models:
        raise _without_program(archive, any(name.startswith(_COMPILED) for name in below))
    for model in models:
        weights, constants = (
            payload(archive, root, kind, model) for kind in ("weights", "constants")
        )
        network = "" if len(models) == 1 else model
        yield _program(archive, f"{root}models/{model}.json", network, weights, constants)


def _old_constants(archive: ZipArchive) -> Arrays:
    return pickled(archive, _OLD_CONSTANTS) if _OLD_CONSTANTS in archive.members else {}


def _without_program(archive: ZipArchive, is_compiled: bool) -> CheckpointError:
    if is_compiled:
        reason = "a package of AOTInductor, whose weights lie inside compiled code, which is not read"
        remedy = "give the program that it was compiled from: torch.export.save(program, FILE)"
        return ForeignFormatError(reason, path=archive.source.path, remedy=remedy)
    reason = "an archive of torch.export without a program"
    return CheckpointError(
        reason, path=archive.source.path, remedy="save it with torch.export.save"
    )


def _program(
    archive: ZipArchive, member: str, network: str, arrays: Arrays, constants: Arrays
) -> _Program:
    archive.check(member)
    graph = json_object(member_source(archive, member))
    return _Program(network, convolutions(graph), arrays, constants)


def _stored(program: _Program, path: Location) -> list[StoredArray]:
    """The weights of a program, in the order in which they run, then all other arrays with their reasons."""
    listing = _Listing(program, path)
    for convolution in program.convolutions:
        listing.add(convolution)
    return [*listing.weights.values(), *listing.others()]


class _Listing:
    """The arrays of one program: each weight once, under the name of the array that it goes by."""

    def __init__(self, program: _Program, path: Location):
        self._program, self._path = program, path
        self.weights: dict[object, StoredArray] = {}
        self._terms: dict[tuple, int] = {}
        self._numbers: dict[int, int] = {}
        self._parts: dict[str, str] = {}
        self._first: dict[tuple, str] = {}
        self._names = Counter[str]()
        for name, array in program.arrays.items():
            if array.view is not None and array.view.count:
                self._first.setdefault(array.view.identity, name)

    def add(self, convolution: Convolution) -> None:
        """List the weight of a convolution, unless an earlier one applies the same."""
        term, leaves = convolution.weight, list(leaf_names(convolution.weight))
        arrays = [array for leaf in leaves if (array := self._array(leaf))]
        key = self._key(term)
        if key in self.weights:
            return
        if convolution.operator:
            self._add_unknown(key, arrays, leaves, convolution)
            return
        if len(leaves) == len(arrays) == 1 and isinstance(term, Leaf):
            self._add_plain(key, leaves[0], arrays[0], convolution)
        else:
            self._add_computed(key, leaves, arrays, convolution)

    def _key(self, term: Term) -> object:
        """The same for two terms that are computed alike from the same arrays, as for a module run twice."""
        if isinstance(term, Leaf):
            return self._identity(term)
        if obstacle(term) is not None or not isinstance(term, Step):
            return id(term)
        if id(term) not in self._numbers:
            args = tuple((name, self._key_of(arg)) for name, arg in sorted(term.args.items()))
            key = (term.op, term.output, args)
            self._numbers[id(term)] = self._terms.setdefault(key, len(self._terms))
        return ("step", self._numbers[id(term)])

    def _key_of(self, arg: object) -> object:
        if isinstance(arg, list):
            return tuple(map(self._key_of, arg))
        return self._key(arg) if isinstance(arg, Data | Leaf | Step) else repr(arg)[:1000]

    def others(self) -> Iterator[StoredArray]:
        """The arrays that are no weights by themselves."""
        names = {array.name for array in self.weights.values()}
        for stored in (self._program.arrays, self._program.constants):
            for name, array in stored.items():
                if name not in names:
                    yield self._other(name, array)

    def _other(self, name: str, array: PickledArray) -> StoredArray:
        first = self._first.get(array.view.identity, name) if array.view else name
        reason = self._parts.get(name) or array.reason
        if reason is None and first != name and array.view and array.view.count:
            reason = f"the same storage as {first}"
        if reason is None and len(array.shape) > 2:
            reason = _UNUSED
        return self._record(name, array.shape, array.dtype, array.read, reason)

    def _add_plain(self, key: object, leaf: Leaf, array: PickledArray, conv: Convolution) -> None:
        name = self._name(leaf, array)
        stored = self._record(name, array.shape, array.dtype, array.read, array.reason)
        self.weights[key] = self._as_weight(stored, conv, unread=array.reason is not None)

    def _add_computed(
        self, key: object, leaves: list[Leaf], arrays: list[PickledArray], conv: Convolution
    ) -> None:
        name = self._unused(_main_name(leaves, arrays))
        fault = obstacle(conv.weight)
        reason = f"computed in the graph from {fault}" if fault else None
        if reason is None and len(arrays) < len(leaves):
            reason = "computed in the graph from an array that the archive lacks"
        if reason is None and any(array.reason for array in arrays):
            reason = "computed in the graph from an array that is not read"
        size = 8 * sum(math.prod(array.shape) for array in arrays)
        reader = functools.partial(evaluate, conv.weight, self._read, size)
        applied = _applied(conv)
        dtype = dtype_name(conv.dtype)
        stored = self._record(name, conv.shape, dtype, reader, reason)
        stored = dataclasses.replace(stored, applied=applied)
        self.weights[key] = self._as_weight(stored, conv, unread=reason is not None)
        how = f" ({applied})" if reason is None else ""
        for leaf in leaves:
            self._parts.setdefault(leaf.name, f"part of {name}{how}")

    def _add_unknown(
        self, key: object, arrays: list[PickledArray], leaves: list[Leaf], conv: Convolution
    ) -> None:
        """List the argument of an operator that is not known, if it may be a weight."""
        for leaf, array in zip(leaves, arrays, strict=False):
            if 3 <= len(array.shape) <= 5:
                reason = f"applied by {conv.operator[:60]}, whose weights are not read"
                stored = self._record(
                    leaf.name, array.shape, array.dtype, array.read, array.reason or reason
                )
                self.weights[key] = dataclasses.replace(stored, depth=conv.depth, unread=True)

    def _as_weight(self, stored: StoredArray, conv: Convolution, unread: bool) -> StoredArray:
        rank = len(stored.shape)
        axes = "IOHW" if conv.transposed else "OIHW"
        return dataclasses.replace(
            stored,
            axes=for_rank(axes, rank) if 3 <= rank <= 5 else None,
            groups=conv.groups,
            transposed=conv.transposed,
            depth=conv.depth,
            unread=unread,
            stacked=0,
        )

    def _record(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        read: Callable[[], np.ndarray],
        reason: str | None,
    ) -> StoredArray:
        if len(name) + len(self._program.network) > LONGEST_NAME:
            raise CheckpointError(f"a name of more than {LONGEST_NAME} characters")
        network = self._program.network
        return StoredArray(name, shape, dtype, read, network=network, reason=reason)

    def _array(self, leaf: Leaf) -> PickledArray | None:
        # Buffers that are not persistent lie among the constants.
        stored = (self._program.constants, self._program.arrays)
        order = stored if leaf.is_constant else stored[::-1]
        return next((arrays[leaf.name] for arrays in order if leaf.name in arrays), None)

    def _read(self, leaf: Leaf) -> np.ndarray:
        array = self._array(leaf)
        if array is None:
            raise CheckpointError("the archive lacks it", path=self._path, tensor=leaf.name)
        return array.read()

    def _identity(self, leaf: Leaf) -> object:
        array = self._array(leaf)
        return array.view.identity if array and array.view and array.view.count else leaf.name

    def _name(self, leaf: Leaf, array: PickledArray) -> str:
        first = self._first.get(array.view.identity) if array.view else None
        return first or leaf.name

    def _unused(self, name: str) -> str:
        """A name that no other weight has: one array may take part in several."""
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}[{self._names[name] - 1}]"


def _main_name(leaves: list[Leaf], arrays: list[PickledArray]) -> str:
    """The name of a computed weight: that of its largest part, and of the original beside a mask."""
    if not arrays or len(arrays) < len(leaves):
        return "weight"
    sizes = [math.prod(array.shape) for array in arrays]
    names = [leaf.name for leaf, size in zip(leaves, sizes, strict=True) if size == max(sizes)]
    original = next((name for name in names if _PARAMETRIZED.search(name)), names[0])
    return _weight_name(original)


def _weight_name(name: str) -> str:
    match = _PARAMETRIZED.search(name)
    return name if match is None else f"{name[: match.start()]}{f'.{match[1]}' if match[1] else ''}"


def _applied(convolution: Convolution) -> Applied:
    names = operators(convolution.weight) - _MOVES if isinstance(convolution.weight, Step) else ()
    if any("dequantize" in name for name in names):
        return "dequantized"
    if any("weight_norm" in name for name in names):
        return "weight-norm"
    return "computed" if names else "as stored"


FORMAT = Format(
    name="torch-export",
    reads="programs of torch.export (.pt2): the weights that the graph applies, with its depth and groups",
    suffixes=(".pt2",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
