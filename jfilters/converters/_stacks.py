"""Arrays that hold several layers, recognized by the vectors beside them.

A bias of one axis too many gives a stack away, or all other vectors of the same block do. The same bias
tells apart what looks like a stack and is none: dense layers over several axes, and locally connected ones.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence

from ._names import bias_name, parts
from ._stored import StoredArray

MOST_LAYERS = 4096
"""Layers in one array; beyond it an array is set aside."""

LOCAL = "locally connected: its bias has positions"
DENSE = "dense over several axes: no convolution"
_EITHER = "several layers stacked in one array, or a dense layer over several axes: the file does not tell"
_UNCLEAR = (
    "several layers stacked in one array, or a kernel of more dimensions: the file does not tell"
)
_TOO_MANY = f"more than {MOST_LAYERS} layers stacked in one array"

_VECTORS = {
    "bias", "b", "scale", "offset", "mean", "var", "gamma", "beta", "running_mean", "running_var",
}  # fmt: skip
_DENSE_NAMES = re.compile(r"dense|proj|query|key|value|attention|attn|mlp|einsum", re.IGNORECASE)
_LARGEST_SURE = 7

_Place = tuple[str, ...]
_Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Stack:
    """The axes of an array that number layers, and how many layers each numbers."""

    axes: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def leading(cls, shape: _Shape, count: int) -> "Stack":
        """The stack along the first axes."""
        return cls(tuple(range(count)), shape[:count])

    def layer_shape(self, shape: _Shape) -> _Shape:
        """The shape of the array of one layer."""
        dropped = {axis % len(shape) for axis in self.axes}
        return tuple(size for axis, size in enumerate(shape) if axis not in dropped)

    def numbers(self) -> Iterator[tuple[int, ...]]:
        """The indices of all layers."""
        return itertools.product(*map(range, self.sizes))


def is_tall(array: StoredArray) -> bool:
    """Return whether an array has the name of a vector and more than one axis."""
    return parts(array.name)[-1] in _VECTORS and len(_vector(array.shape)) > 1


class Blocks:
    """The arrays of a checkpoint by place, and the vectors below every place."""

    def __init__(self, arrays: Sequence[StoredArray]):
        self._arrays = arrays
        self._places = [(array.network or array.member, *parts(array.name)) for array in arrays]
        self._index = {place: index for index, place in enumerate(self._places)}
        self._vectors: dict[_Place, set[_Shape]] = {}
        self._dense: set[_Shape] = set()
        self._ranks = {len(array.shape) for array in arrays if array.reason is None}
        self._weights: dict[_Place, set[_Shape]] = {}
        for place, array in zip(self._places, arrays, strict=True):
            is_vector = place[-1] in _VECTORS
            shapes = self._vectors if is_vector else self._weights
            if len(array.shape) > (0 if is_vector else 2):
                for at in range(1, len(place)):
                    shapes.setdefault(place[:at], set()).add(_vector(array.shape))
        for index, array in enumerate(arrays):
            self._add_dense(index, array)

    def _add_dense(self, index: int, array: StoredArray) -> None:
        """Note the outputs of a dense layer over several axes, which another one may take in."""
        bias = self._bias(index) if _is_channels_last(array) else None
        if bias is not None:
            shape = _vector(self._arrays[bias].shape)
            self._dense |= {shape[at:] for at in _dense_axes(array.shape, shape)}

    def stacks(self) -> dict[int, Stack | str]:
        """Every stack by the index of its array, or the reason why the array is no convolution."""
        stacks: dict[int, Stack | str] = {}
        for index, array in enumerate(self._arrays):
            stack = self._stack(index) if array.reason is None else None
            if isinstance(stack, Stack):
                if math.prod(stack.sizes) > MOST_LAYERS:
                    stack = _TOO_MANY
                elif (bias := self._bias(index)) is not None:
                    stacks[bias] = self._of_vector(stack, self._arrays[bias].shape)
            if stack is not None:
                stacks[index] = stack
        return stacks

    def root(self, index: int, stack: Stack) -> int:
        """The number of components of the name that lead to the block whose layers are all stacked alike.

        0 where that is the network itself: a stack of networks.
        """
        place = self._places[index]
        for at in range(1, len(place) - 1):
            if self._is_stacked(place[:at], stack.sizes[0]):
                return at - 1
        return max(len(place) - 2, 1)

    def _is_stacked(self, place: _Place, size: int) -> bool:
        """Return whether all vectors and weights below a place have one more axis, of this size.

        Of a whole network the kernels must have one rank: a stem beside a stack of blocks has another.
        """
        vectors, weights = self._vectors.get(place, set()), self._weights.get(place, set())
        ranks = set(map(len, weights))
        return (
            bool(vectors)
            and all(len(shape) > 1 and size in shape for shape in vectors)
            and all(size in shape for shape in weights)
            and (len(place) > 1 or len(ranks) == 1)
        )

    def _bias(self, index: int) -> int | None:
        name = bias_name(self._arrays[index].name)
        return self._index.get((self._places[index][0], *parts(name))) if name else None

    def _of_vector(self, stack: Stack, shape: _Shape) -> Stack:
        """The stack of a bias, given that of its kernel: the number of layers comes first or last."""
        is_leading = stack.axes[0] == 0
        return Stack(stack.axes if is_leading else (len(_vector(shape)) - 1,), stack.sizes)

    def _stack(self, index: int) -> Stack | str | None:
        """The stack that an array is, or the reason why it is no convolution; None for a plain array."""
        array, place = self._arrays[index], self._places[index]
        if array.stacked:
            return Stack.leading(array.shape, array.stacked)
        is_known = array.stacked == 0 or array.groups is not None or array.member
        if is_known or place[-1] in _VECTORS or len(array.shape) < 3:
            return None
        bias = self._bias(index)
        if bias is not None:
            return self._beside(array, _vector(self._arrays[bias].shape))
        holder = next(
            (place[:at] for at in range(len(place) - 1, 0, -1) if place[:at] in self._vectors), None
        )
        if holder is None:
            return self._unclear(array)
        if len(array.shape) > 3 and self._is_stacked(holder, array.shape[0]):
            return Stack.leading(array.shape, 1)
        return DENSE if self._contracts(array.shape, array) else None

    def _beside(self, array: StoredArray, bias: _Shape) -> Stack | str | None:
        """The stack of a weight with a bias of this shape beside it."""
        shape, count, is_last = array.shape, len(bias) - 1, _is_channels_last(array)
        if count == 0 or len(bias) > len(shape):
            return DENSE if self._contracts(shape, array) else None
        if is_last and bias == (*shape[:-2], shape[-1]):
            return LOCAL
        stack = _leading(shape, bias, is_last=is_last) or _of_other_axis(
            shape, bias, is_last=is_last
        )
        if is_last and _dense_axes(shape, bias):
            if stack is None or _DENSE_NAMES.search(array.name):
                return DENSE
            return stack if "conv" in array.name.lower() else _EITHER
        if stack is not None and self._contracts(stack.layer_shape(shape), array):
            return DENSE
        return stack

    def _contracts(self, shape: _Shape, array: StoredArray) -> bool:
        """Return whether a kernel of three axes takes in what a dense layer over two gives out."""
        return len(shape) == 3 and _is_channels_last(array) and shape[:2] in self._dense

    def _unclear(self, array: StoredArray) -> str | None:
        """The reason against an array of one more axis than others, where no vector says why."""
        shape, is_last = array.shape, _is_channels_last(array)
        if len(shape) < 4 or len(shape) - 1 not in self._ranks:
            return None
        spatial = shape[:-2] if is_last else shape[2:]
        is_usual = set(spatial) <= {1, max(spatial)} or (
            not is_last and max(spatial) <= _LARGEST_SURE
        )
        return None if is_usual else _UNCLEAR


def _dense_axes(shape: _Shape, bias: _Shape) -> list[int]:
    """From which axis on a bias has the shape of all outputs of a dense layer, which may be stacked."""
    return [
        at
        for at in range(len(bias) - 1)
        if bias[:at] == shape[:at] and bias[at:] == shape[at - len(bias) :]
    ]


def _leading(shape: _Shape, bias: _Shape, *, is_last: bool) -> Stack | None:
    """A stack along the first axes, which come first in the bias too."""
    count = len(bias) - 1
    outputs = shape[-1:] if is_last else shape[count : count + 2]
    fits = bias[:count] == shape[:count] and bias[-1] in outputs
    return Stack.leading(shape, count) if fits and 3 <= len(shape) - count <= 5 else None


def _of_other_axis(shape: _Shape, bias: _Shape, *, is_last: bool) -> Stack | None:
    """A stack along the second axis or the last: the number of layers comes last in the bias."""
    if len(bias) != 2 or not is_last or len(shape) < 4:
        return None
    outputs, size = bias
    places = ((len(shape) - 1, len(shape) - 2), (1, len(shape) - 1))
    stacks = [
        Stack((axis,), (size,))
        for axis, out in places
        if (shape[axis], shape[out]) == (size, outputs)
    ]
    # Where both fit, kernels as wide as high are the likelier ones.
    square = (stack for stack in stacks if len(set(stack.layer_shape(shape)[:-2])) == 1)
    return next(square, stacks[0] if stacks else None)


def _is_channels_last(array: StoredArray) -> bool:
    return (array.axes or "").endswith(("IO", "OI")) or parts(array.name)[-1] in ("kernel", "w")


def _vector(shape: _Shape) -> _Shape:
    """The shape without the axes of one entry that Equinox appends to a bias."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
