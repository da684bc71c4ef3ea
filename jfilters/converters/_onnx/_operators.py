"""The operators that exporters put between a stored tensor and the convolution that uses it.

Their arithmetic is that of the ONNX operator specification, onnx/docs/Operators.md.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from ._nodes import Attribute
from ._tensor import DTYPES, MAX_RANK, Value


class NotFollowed(ValueError):
    """An operator that does not lead from a stored tensor to a weight in a way that is known."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One operator, and what it is told beside the tensor that it works on.

    `parameter(position)` is the stored tensor at an input, None where that is left out.
    """

    op: str
    attributes: Mapping[str, Attribute]
    parameter: Callable[[int], Value | None]

    def ints(self, name: str, position: int) -> list[int] | None:
        """Integers that are an attribute in some versions of an operator and an input in others."""
        attribute, given = self.attributes.get(name), self.parameter(position)
        if given is None:
            return attribute.ints() if attribute else None
        if math.prod(given.shape) > MAX_RANK or given.dtype != np.int64:
            raise self.wrong(f"{name} of shape {given.shape} and dtype {given.dtype}")
        return given.read().reshape(-1).tolist()

    def wrong(self, found: str) -> NotFollowed:
        """The error for an operator that makes no sense."""
        return NotFollowed(f"{self.op} with {found}")


def dequantize(x: Value, scale: Value | None, zero: Value | None, axis: int) -> Value:
    """(x - zero) * scale in float32; scale and zero point are single or run along one axis of x."""
    scale_shape = _along(scale, axis, x.shape)
    zero_shape = _along(zero, axis, x.shape)

    def read() -> np.ndarray:
        # float64 holds every stored integer of 32 bits and every difference of two.
        values = x.read().astype(np.float64)
        if zero:
            values -= zero.read().astype(np.float64).reshape(zero_shape)
        factor = scale.read().astype(np.float32).reshape(scale_shape) if scale else np.float32(1)
        return values.astype(np.float32) * factor

    return Value(x.shape, np.dtype(np.float32), read)


def _along(parameter: Value | None, axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which a scale or zero point broadcasts against `shape`."""
    ones = (1,) * len(shape)
    if parameter is None or math.prod(parameter.shape) == 1:
        return ones
    if not -len(shape) <= axis < len(shape) or parameter.shape != (shape[axis],):
        raise NotFollowed(f"scale or zero point of shape {parameter.shape} for {shape}")
    index = axis % len(shape)
    return (*ones[:index], shape[index], *ones[index + 1 :])


def _dequantize_linear(x: Value, step: Step) -> Value:
    return dequantize(x, step.parameter(1), step.parameter(2), _axis(step))


def _quantize_linear(x: Value, step: Step) -> Value:
    """Rounded to even and saturated, as the fake quantization of a float weight."""
    scale, zero, axis = step.parameter(1), step.parameter(2), _axis(step)
    dtype = zero.dtype if zero else np.dtype(np.uint8)
    if dtype.kind not in "iu" or scale is None:
        raise step.wrong(f"values of {dtype}")
    scale_shape, zero_shape = _along(scale, axis, x.shape), _along(zero, axis, x.shape)
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max

    def read() -> np.ndarray:
        factor = scale.read().astype(np.float32).reshape(scale_shape)
        values = np.rint(x.read().astype(np.float32) / factor)
        if zero:
            values = values + zero.read().astype(np.float32).reshape(zero_shape)
        return np.clip(values, lowest, highest).astype(dtype)

    return Value(x.shape, dtype, read)


def _axis(step: Step) -> int:
    axis = step.attributes.get("axis")
    return axis.number if axis else 1


def _cast(x: Value, step: Step) -> Value:
    to = step.attributes.get("to")
    if to is None or to.number not in DTYPES:
        raise step.wrong("a target that is not read")
    dtype, _ = DTYPES[to.number]
    return Value(x.shape, dtype, lambda: x.read().astype(dtype))


def _transpose(x: Value, step: Step) -> Value:
    attribute = step.attributes.get("perm")
    order = attribute.ints() if attribute else [*reversed(range(len(x.shape)))]
    if sorted(order) != [*range(len(x.shape))]:
        raise step.wrong(f"axes {order} of {x.shape}")
    shape = tuple(x.shape[axis] for axis in order)
    return Value(shape, x.dtype, lambda: x.read().transpose(order))


def _reshape(x: Value, step: Step) -> Value:
    asked = step.ints("shape", 1)
    keeps_zeros = step.attributes.get("allowzero")
    if asked is None:
        raise step.wrong("no shape")
    if not (keeps_zeros and keeps_zeros.number):
        copied = (*x.shape, *asked[len(x.shape) :])
        asked = [size or copied[index] for index, size in enumerate(asked)]
    known = math.prod(size for size in asked if size >= 0)
    rest = math.prod(x.shape) // known if known else 0
    return _reshaped(x, tuple(size if size >= 0 else rest for size in asked), step)


def _squeeze(x: Value, step: Step) -> Value:
    rank, axes = len(x.shape), step.ints("axes", 1)
    dropped = {axis % rank for axis in axes or ()} if rank else set()
    kept = [
        size
        for axis, size in enumerate(x.shape)
        if (axis not in dropped if axes is not None else size != 1)
    ]
    return _reshaped(x, tuple(kept), step)


def _unsqueeze(x: Value, step: Step) -> Value:
    axes = step.ints("axes", 1) or []
    rank = len(x.shape) + len(axes)
    added = {axis % rank for axis in axes}
    if len(added) < len(axes):
        raise step.wrong(f"axes {axes} for {x.shape}")
    sizes = iter(x.shape)
    shape = tuple(1 if axis in added else next(sizes) for axis in range(rank))
    return _reshaped(x, shape, step)


def _reshaped(x: Value, shape: tuple[int, ...], step: Step) -> Value:
    if math.prod(shape) != math.prod(x.shape) or len(shape) > MAX_RANK:
        raise step.wrong(f"shape {shape} for {x.shape}")
    return Value(shape, x.dtype, lambda: x.read().reshape(shape))


OPERATIONS: dict[str, Callable[[Value, Step], Value]] = {
    "Identity": lambda x, step: x,
    "Cast": _cast,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "DequantizeLinear": _dequantize_linear,
    "com.microsoft.DequantizeLinear": _dequantize_linear,
    "QuantizeLinear": _quantize_linear,
    "com.microsoft.QuantizeLinear": _quantize_linear,
}
"""The operators through which a weight is followed; their first input is the weight."""
