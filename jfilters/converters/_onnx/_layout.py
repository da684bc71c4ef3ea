"""Operators that leave every number of a tensor as it is, but for its axes and its dtype.

Their meaning is that of the ONNX operator specification, onnx/docs/Operators.md, in all versions.
"""

import math
from collections.abc import Callable

from ._step import Step
from ._tensor import DTYPES, MAX_RANK
from ._value import Value


def _cast(step: Step) -> Value:
    x, code = step.input(), step.number("to", 0)
    if code not in DTYPES:
        step.wrong("a target that is not read")
    dtype, _ = DTYPES[code]
    return step.makes(x.shape, dtype, lambda array: array.astype(dtype), x)


def _cast_like(step: Step) -> Value:
    x, dtype = step.input(), step.input(1).dtype
    return step.makes(x.shape, dtype, lambda array: array.astype(dtype), x)


def _transpose(step: Step) -> Value:
    x, attribute = step.input(), step.attributes.get("perm")
    order = attribute.ints() if attribute else [*reversed(range(len(x.shape)))]
    if sorted(order) != [*range(len(x.shape))]:
        step.wrong(f"axes {order[:MAX_RANK]} of {x.shape}")
    shape = [x.shape[axis] for axis in order]
    return step.makes(shape, x.dtype, lambda array: array.transpose(order), x)


def _reshape(step: Step) -> Value:
    x, shape = step.input(), step.ints("shape", 1)
    if shape is None or len(shape) > MAX_RANK:
        step.wrong("no shape")
    if not step.number("allowzero", 0):
        sizes = (*x.shape, *shape[len(x.shape) :])
        shape = [size or sizes[index] for index, size in enumerate(shape)]
    fixed = math.prod(size for size in shape if size >= 0)
    inferred = x.size // fixed if fixed else 0
    return step.reshaped(x, [size if size >= 0 else inferred for size in shape])


def _squeeze(step: Step) -> Value:
    x = step.input()
    axes = step.axes(len(x.shape))
    dropped = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else axes
    return step.reshaped(x, [size for i, size in enumerate(x.shape) if i not in dropped])


def _unsqueeze(step: Step) -> Value:
    x, count = step.input(), len(step.ints("axes", 1) or ())
    axes = step.axes(len(x.shape) + count) or []
    sizes = iter(x.shape)
    shape = [1 if i in axes else next(sizes) for i in range(len(x.shape) + count)]
    return step.reshaped(x, shape)


def _flatten(step: Step) -> Value:
    x, axis = step.input(), step.number("axis", 1)
    rank = len(x.shape)
    if not -rank <= axis <= rank:
        step.wrong(f"axis {axis} of {x.shape}")
    axis = axis + rank if axis < 0 else axis
    return step.reshaped(x, [math.prod(x.shape[:axis]), math.prod(x.shape[axis:])])


LAYOUT: dict[str, Callable[[Step], Value]] = {
    "Identity": lambda step: step.input(),
    "Cast": _cast,
    "CastLike": _cast_like,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Flatten": _flatten,
}
"""All of them, by name."""
