"""One operator on its way to a value: its inputs, its attributes, and what it needs to know at once."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import ml_dtypes
import numpy as np

from ...io import ProtobufMessage
from ._nodes import Attribute
from ._tensor import MAX_RANK
from ._value import Value

MAX_PARAMETER = 1 << 14
"""Elements of a shape, of axes or of indices."""

REMEDY = "fold constants, for example with onnxruntime's offline optimization or onnx-simplifier"

FLOATS = tuple(map(np.dtype, (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)))
"""The dtypes of floating point arithmetic."""


class NotFollowed(ValueError):
    """An operator that does not lead from stored tensors to a weight in a way that is known."""


@dataclasses.dataclass
class Step:
    """One operator and all that its result depends on.

    `output` is the position of the result among its `outputs`. `tensor(message)` is the value of a tensor
    in an attribute. `read` reads a small value at once, or raises ValueError. `parameters` are those inputs
    that were read so, by position.
    """

    op: str
    attributes: Mapping[str, Attribute]
    inputs: Sequence[Value | None]
    output: int
    outputs: int
    tensor: Callable[[ProtobufMessage], Value | None]
    read: Callable[[Value], np.ndarray]
    parameters: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def optional(self, position: int) -> Value | None:
        """An input, None if it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def input(self, position: int = 0) -> Value:
        """An input that must not be left out."""
        value = self.optional(position)
        if value is None:
            self.wrong(f"no input {position}")
        return value

    def number(self, name: str, default: int) -> int:
        """An integer attribute."""
        attribute = self.attributes.get(name)
        return default if attribute is None else attribute.number

    def real(self, name: str, default: float) -> float:
        """A floating point attribute."""
        attribute = self.attributes.get(name)
        number = None if attribute is None else attribute.real()
        return default if number is None else number

    def text(self, name: str, default: str) -> str:
        """A text attribute."""
        attribute = self.attributes.get(name)
        return default if attribute is None else attribute.text()

    def axis(self, default: int, rank: int) -> int:
        """The attribute "axis", counted from the front, of an array of `rank` axes."""
        axis = self.number("axis", default)
        if not -rank <= axis < rank:
            self.wrong(f"axis {axis} of {rank}")
        return axis % rank

    def ints(self, name: str, position: int) -> list[int] | None:
        """Integers that are an attribute in some versions of an operator and an input in others."""
        attribute, values = self.attributes.get(name), self.parameter(position)
        if values is None:
            return attribute.ints()[:MAX_PARAMETER] if attribute else None
        if values.dtype.kind not in "iu":
            self.wrong(f"{name} of dtype {values.dtype}")
        return values.reshape(-1).tolist()

    def axes(self, rank: int, position: int = 1) -> list[int] | None:
        """The axes that are given, counted from the front; None if they are left out."""
        axes = self.ints("axes", position)
        if axes is None:
            return None
        if not all(-rank <= axis < rank for axis in axes) or len(axes) > rank:
            self.wrong(f"axes {axes[:MAX_RANK]} of {rank}")
        axes = [axis % rank for axis in axes]
        if len(set(axes)) < len(axes):
            self.wrong(f"axes {axes} for {rank}")
        return axes

    def parameter(self, position: int) -> np.ndarray | None:
        """The numbers of a small input, read at once; None if it is left out."""
        value = self.optional(position)
        if value is None:
            return None
        if value.size > MAX_PARAMETER:
            self.wrong(f"a parameter of shape {value.shape}")
        self.parameters[position] = self.read(value)
        return self.parameters[position]

    def expect_floats(self, *values: Value) -> None:
        """Refuse values that no floating point arithmetic is for, or of several dtypes."""
        dtypes = {value.dtype for value in values}
        if len(dtypes) > 1 or not dtypes.issubset(FLOATS):
            self.wrong(f"values of {', '.join(sorted(dtype.name for dtype in dtypes))}")

    def makes(
        self,
        shape: Sequence[int],
        dtype: np.dtype,
        compute: Callable[..., np.ndarray],
        *inputs: Value | None,
        cost: int = 0,
    ) -> Value:
        """The result: `compute` of the numbers of `inputs`."""
        if len(shape) > MAX_RANK or any(size < 0 for size in shape):
            self.wrong(f"a result of shape {tuple(shape)[: MAX_RANK + 1]}")
        return Value(tuple(shape), dtype, compute, inputs, self.op, cost)

    def reshaped(self, x: Value, shape: Sequence[int]) -> Value:
        """The same numbers in another shape."""
        shape = tuple(shape)
        if len(shape) > MAX_RANK or math.prod(shape) != x.size:
            self.wrong(f"shape {shape[: MAX_RANK + 1]} for {x.shape}")
        return self.makes(shape, x.dtype, lambda array: array.reshape(shape), x)

    def wrong(self, matter: str) -> NoReturn:
        """Refuse an operator that makes no sense."""
        raise NotFollowed(f"{self.op} with {matter}")

    def unread(self, variant: str) -> NoReturn:
        """Refuse a variant of an operator that makes sense and is not read."""
        raise NotFollowed(f"computed by {self.op} with {variant}; {REMEDY}")


def wide(array: np.ndarray | None) -> np.ndarray:
    """Short floats as float32, in which runtimes compute with them; all else as it is."""
    assert array is not None
    is_short = array.dtype in FLOATS and array.dtype.itemsize < 4
    return array.astype(np.float32) if is_short else array


def broadcast(step: Step, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to."""
    rank = max(map(len, shapes))
    result = (1,) * rank
    for shape in shapes:
        padded = (1,) * (rank - len(shape)) + shape
        pairs = list(zip(result, padded, strict=True))
        if any(a != b and 1 not in (a, b) for a, b in pairs):
            step.wrong(f"shapes {' and '.join(map(str, shapes[:4]))}")
        result = tuple(b if a == 1 else a for a, b in pairs)
    return result
