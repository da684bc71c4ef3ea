"""From integers and their scales to the numbers that they stand for, and back.

The arithmetic is that of the ONNX operator specification, onnx/docs/Operators.md.
"""

import math
from collections.abc import Callable

import numpy as np

from ._step import FLOATS, NotFollowed, Step
from ._tensor import DTYPES
from ._value import Value

DEQUANTIZES = "DequantizeLinear"
"""The operator that a dequantized value is said to be made by."""


def dequantize(
    x: Value,
    scale: Value | None,
    zero: Value | None,
    axis: int,
    dtype: np.dtype | None = None,
) -> Value:
    """(x - zero) * scale; scale and zero point are single or run along one axis of x.

    In float32, and given in `dtype`, without one in that of the scale.
    """
    scale_shape = _along(scale, axis, x.shape)
    zero_shape = _along(zero, axis, x.shape)
    scale_dtype = scale.dtype if scale else np.dtype(np.float32)
    if scale_dtype not in FLOATS:
        raise NotFollowed(f"a scale of {scale_dtype}")

    def compute(x: np.ndarray, scale: np.ndarray | None, zero: np.ndarray | None) -> np.ndarray:
        # float64 holds every stored integer of 32 bits and every difference of two.
        values = x.astype(np.float64)
        if zero is not None:
            values -= zero.astype(np.float64).reshape(zero_shape)
        values = values.astype(np.float32)
        return values if scale is None else values * scale.astype(np.float32).reshape(scale_shape)

    inputs = (x, scale, zero)
    return Value(x.shape, dtype or scale_dtype, compute, inputs, DEQUANTIZES, 2 * x.size)


def _along(parameter: Value | None, axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which a scale or zero point broadcasts against `shape`."""
    single = (1,) * len(shape)
    if parameter is None or math.prod(parameter.shape) == 1:
        return single
    if not -len(shape) <= axis < len(shape) or parameter.shape != (shape[axis],):
        raise NotFollowed(f"scale or zero point of shape {parameter.shape} for {shape}")
    index = axis % len(shape)
    return (*single[:index], shape[index], *single[index + 1 :])


def _dequantize_linear(step: Step) -> Value:
    dtype, _ = DTYPES.get(step.number("output_dtype", 0), (None, 0))
    return dequantize(step.input(), step.input(1), step.optional(2), step.number("axis", 1), dtype)


def _quantize_linear(step: Step) -> Value:
    """Rounded to even and saturated, as the fake quantization of a float weight."""
    x, scale, zero, axis = step.input(), step.input(1), step.optional(2), step.number("axis", 1)
    stated, _ = DTYPES.get(step.number("output_dtype", 2), (np.dtype(np.float32), 0))
    dtype = zero.dtype if zero else stated
    if dtype.kind not in "iu":
        step.wrong(f"values of {dtype}")
    scale_shape, zero_shape = _along(scale, axis, x.shape), _along(zero, axis, x.shape)
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max

    def compute(x: np.ndarray, scale: np.ndarray, zero: np.ndarray | None) -> np.ndarray:
        values = np.rint(x.astype(np.float32) / scale.astype(np.float32).reshape(scale_shape))
        if zero is not None:
            values = values + zero.astype(np.float32).reshape(zero_shape)
        return np.clip(values, lowest, highest)

    return step.makes(x.shape, dtype, compute, x, scale, zero, cost=2 * x.size)


QUANTIZATION: dict[str, Callable[[Step], Value]] = {
    DEQUANTIZES: _dequantize_linear,
    f"com.microsoft.{DEQUANTIZES}": _dequantize_linear,
    "QuantizeLinear": _quantize_linear,
    "com.microsoft.QuantizeLinear": _quantize_linear,
}
"""All of them, by name."""
