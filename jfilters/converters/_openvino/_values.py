"""Weights that a network computes from constants: shapes are checked first, values read on demand."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from .._dtypes import numeric_dtype
from ._constants import DTYPES, Constant
from ._xml import Node, Shape

MAX_DEPTH = 24
"""Operations one behind the other between a constant and a convolution."""

MAX_STEPS = 256
"""Operations between all constants of a weight and its convolution."""

PASSING = {"Convert", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operations that change no value but its dtype and its place."""

_MAX_LEVELS = 1 << 16


class Untraced(Exception):
    """The reason why a weight cannot be computed."""


@dataclasses.dataclass(frozen=True)
class Value:
    """A value that is known before the network runs, and the constant that it is made of, in the main.

    `parts` are all its constants; `is_scaled` says that integers were scaled, `is_computed` that more was
    done than that.
    """

    shape: Shape
    main: int
    parts: frozenset[int]
    read: Callable[[], np.ndarray]
    is_scaled: bool = False
    is_computed: bool = False


class Tracer:
    """Follows the inputs of a node back to constants."""

    def __init__(self, nodes: Sequence[Node], constants: dict[int, Constant]):
        self._nodes, self._constants, self._steps = nodes, constants, 0

    def trace(self, index: int) -> Value:
        """The value of a node's output. Raises Untraced where the network has to run for it."""
        self._steps = MAX_STEPS
        return self._follow(index, MAX_DEPTH)

    def _follow(self, index: int, depth: int) -> Value:
        if index in self._constants:
            constant = self._constants[index]
            if constant.dtype is None:
                raise Untraced(f"{constant.element} values are not read")
            return Value(constant.shape, index, frozenset([index]), constant.read)
        node, self._steps = self._nodes[index], self._steps - 1
        operation = _OPERATIONS.get(node.kind)
        if operation is None or not depth or self._steps < 0 or not node.reads:
            raise Untraced(f"computed by {node.kind} {node.name}")
        try:
            inputs = [self._follow(node.reads[port], depth - 1) for port in sorted(node.reads)]
            return operation(node, inputs)
        except (ValueError, IndexError) as error:
            raise Untraced(f"computed by {node.kind} {node.name}: {error}") from error


def _converted(node: Node, inputs: Sequence[Value]) -> Value:
    (value,) = inputs
    dtype = numeric_dtype(DTYPES.get(node.data.get("destination_type", ""), ""))
    if dtype is None or dtype.kind in "iub":
        raise ValueError("no float")
    return dataclasses.replace(value, read=lambda: value.read().astype(dtype))


def _arithmetic(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable:
    def operation(node: Node, inputs: Sequence[Value]) -> Value:
        first, second = inputs
        shape = np.broadcast_shapes(first.shape, second.shape)
        # A weight has its whole shape before it is scaled: nothing here grows.
        if shape not in (first.shape, second.shape):
            raise ValueError(f"{first.shape} and {second.shape} grow to {shape}")
        main = first if math.prod(first.shape) >= math.prod(second.shape) else second
        return dataclasses.replace(
            main,
            shape=shape,
            parts=first.parts | second.parts,
            read=lambda: function(first.read(), second.read()),
            is_scaled=True,
            is_computed=first.is_computed or second.is_computed,
        )

    return operation


def _reshaped(node: Node, inputs: Sequence[Value]) -> Value:
    value, shape = inputs[0], node.shape
    if math.prod(shape) != math.prod(value.shape) or min(shape, default=1) < 0:
        raise ValueError(f"{value.shape} does not become {shape}")
    parts = value.parts.union(*(other.parts for other in inputs[1:]))
    return dataclasses.replace(
        value, shape=shape, parts=parts, read=lambda: value.read().reshape(shape)
    )


def _transposed(node: Node, inputs: Sequence[Value]) -> Value:
    value, order = inputs
    if order.shape != (len(value.shape),):
        raise ValueError(f"{order.shape} is no order of the axes of {value.shape}")
    axes = [int(axis) for axis in order.read()]
    if sorted(axes) != list(range(len(axes))):
        raise ValueError(f"{axes} is no order of axes")
    return dataclasses.replace(
        value,
        shape=tuple(value.shape[axis] for axis in axes),
        parts=value.parts | order.parts,
        read=lambda: value.read().transpose(axes),
    )


def _quantized(node: Node, inputs: Sequence[Value]) -> Value:
    """Values rounded to one of so many levels of a range. Source: the operation FakeQuantize-1."""
    value, *ranges = inputs
    levels = int(node.data.get("levels", "0")[:9])
    if len(ranges) != 4 or not 2 <= levels <= _MAX_LEVELS:
        raise ValueError(f"{levels} levels and {len(ranges)} ranges")
    if any(np.broadcast_shapes(value.shape, x.shape) != value.shape for x in ranges):
        raise ValueError("ranges of another shape")

    def read() -> np.ndarray:
        low, high, new_low, new_high = (x.read() for x in ranges)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.rint((value.read() - low) / (high - low) * (levels - 1))
        steps = np.clip(np.nan_to_num(steps), 0, levels - 1)
        return steps / np.float32(levels - 1) * (new_high - new_low) + new_low

    parts = value.parts.union(*(x.parts for x in ranges))
    return dataclasses.replace(value, parts=parts, read=read, is_computed=True)


_OPERATIONS: dict[str, Callable[[Node, Sequence[Value]], Value]] = {
    "Add": _arithmetic(np.add),
    "Convert": _converted,
    "FakeQuantize": _quantized,
    "Multiply": _arithmetic(np.multiply),
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Subtract": _arithmetic(np.subtract),
    "Transpose": _transposed,
    "Unsqueeze": _reshaped,
}
