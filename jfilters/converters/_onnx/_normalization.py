"""Normalizations of a stored weight: weight standardization is exported as one of its rows."""

from collections.abc import Callable, Sequence

import numpy as np

from ._step import Step, wide
from ._value import Value

EPSILON = 1e-5
"""Default of these operators. Source: onnx/docs/Operators.md."""


def _batch(step: Step) -> Value:
    """Over all axes but the second; in training mode with the statistics of the input itself."""
    x, scale, bias = _checked(step)
    if step.output or not step.number("spatial", 1):
        step.unread("more than the normalized values")
    # Before the attribute was there, the statistics among the outputs said so.
    if step.number("training_mode", int(step.outputs > 1)):
        axes = (0, *range(2, len(x.shape)))
        return _standardized(step, x, scale, bias, axes)
    mean, variance = step.input(3), step.input(4)
    if not mean.shape == variance.shape == scale.shape:
        step.wrong(f"statistics of shape {mean.shape} and {variance.shape}")
    step.expect_floats(mean, variance)
    epsilon, rank = step.real("epsilon", EPSILON), len(x.shape)

    def compute(x: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        gain, shift, mean, variance = (_along_second(array, rank) for array in parameters)
        return (wide(x) - mean) / np.sqrt(variance + epsilon) * gain + shift

    return step.makes(x.shape, x.dtype, compute, x, scale, bias, mean, variance)


def _instance(step: Step) -> Value:
    """Over the axes behind the second."""
    x, scale, bias = _checked(step)
    return _standardized(step, x, scale, bias, tuple(range(2, len(x.shape))))


def _checked(step: Step) -> tuple[Value, Value, Value]:
    """The input, the scale and the bias, of which the last two run along the second axis."""
    x, scale, bias = step.input(0), step.input(1), step.input(2)
    if len(x.shape) < 2 or not scale.shape == bias.shape == x.shape[1:2] or not x.size:
        step.wrong(f"shapes {x.shape}, {scale.shape} and {bias.shape}")
    for value in (x, scale, bias):
        step.expect_floats(value)
    return x, scale, bias


def _standardized(step: Step, x: Value, scale: Value, bias: Value, axes: Sequence[int]) -> Value:
    epsilon, rank, axes = step.real("epsilon", EPSILON), len(x.shape), tuple(axes)

    def compute(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
        values = wide(x)
        centered = values - values.mean(axis=axes, keepdims=True)
        deviation = np.sqrt(np.square(centered).mean(axis=axes, keepdims=True) + epsilon)
        return centered / deviation * _along_second(scale, rank) + _along_second(bias, rank)

    # Three arrays of the size of the input are written on the way.
    return step.makes(x.shape, x.dtype, compute, x, scale, bias, cost=4 * x.size)


def _along_second(array: np.ndarray, rank: int) -> np.ndarray:
    return wide(array).reshape(1, -1, *[1] * (rank - 2))


NORMALIZATIONS: dict[str, Callable[[Step], Value]] = {
    "BatchNormalization": _batch,
    "InstanceNormalization": _instance,
}
"""All of them, by name."""
