"""The arrays of an exported program as stored arrays: its weights as they run, the others with reasons."""

import dataclasses
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ...errors import CheckpointError
from ...io import Location
from ...layers import Applied
from .._axes import for_rank
from .._stored import StoredArray
from ._arrays import PickledArray
from ._evaluate import evaluate, obstacle, operators
from ._operators import dtype_name
from ._payload import Arrays
from ._program import Convolution, Data, Leaf, Step, Term, leaf_names
from ._walk import LONGEST_NAME

_PARAMETRIZED = re.compile(r"\.parametrizations\.(\w+)\.original\d*$|_(orig|v)$")
_MOVES = {
    f"aten.{name}"
    for name in (
        *("clone", "detach", "detach_", "alias", "contiguous", "lift_fresh_copy", "to", "_to_copy"),
        *("view", "reshape", "_unsafe_view", "unsqueeze", "squeeze"),
    )
}
_UNUSED = "no weight of a convolution in the graph"


class Program(NamedTuple):
    """One program: the network that it is called, its convolutions, and its arrays by kind."""

    network: str
    convolutions: list[Convolution]
    arrays: Arrays
    constants: Arrays


def listed(program: Program, path: Location) -> list[StoredArray]:
    """The weights of a program in the order in which they run, then all other arrays with reasons."""
    listing = _Listing(program, path)
    for convolution in program.convolutions:
        listing.add(convolution)
    return [*listing.weights.values(), *listing.others()]


class _Listing:
    """The arrays of one program: each weight once, under the name of the array that it goes by."""

    def __init__(self, program: Program, path: Location):
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
        """The same for two terms that are computed alike from the same arrays, as of a module run twice."""
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
