"""Operators that compute number by number, with NumPy's broadcasting, and those that reduce axes.

Their arithmetic is that of the ONNX operator specification, onnx/docs/Operators.md, in all versions.
"""

import functools
from collections.abc import Callable

import numpy as np

from ._step import FLOATS, Step, broadcast, wide
from ._value import Value

_Function = Callable[..., np.ndarray]


def _pointwise(
    function: _Function, count: int = 0, *, floats_only: bool = False
) -> Callable[[Step], Value]:
    """An operator on `count` inputs, 0 for any number, of one dtype, which is that of the result."""

    def rule(step: Step) -> Value:
        values = [step.input(position) for position in range(max(len(step.inputs), 1))]
        if count and len(values) != count:
            step.wrong(f"{len(values)} inputs")
        dtype = values[0].dtype
        if floats_only or dtype.kind not in "iu":
            step.expect_floats(*values)
        if any(value.dtype != dtype for value in values):
            step.wrong(f"values of {dtype} and another dtype")
        shapes = _aligned(step, values)
        shape = broadcast(step, *shapes)

        def compute(*arrays: np.ndarray) -> np.ndarray:
            pairs = zip(arrays, shapes, strict=True)
            return np.asarray(function(*(wide(a).reshape(shape) for a, shape in pairs)))

        return step.makes(shape, dtype, compute, *values)

    return rule


def _aligned(step: Step, values: list[Value]) -> list[tuple[int, ...]]:
    """The shapes in which values broadcast; the first operator sets tell where the second one begins."""
    shapes = [value.shape for value in values]
    if step.number("broadcast", 0) and "axis" in step.attributes and len(shapes) == 2:
        behind = len(shapes[0]) - step.axis(0, len(shapes[0])) - len(shapes[1])
        shapes[1] = shapes[1] + (1,) * max(behind, 0)
    return shapes


def _sum(*arrays: np.ndarray) -> np.ndarray:
    return np.asarray(functools.reduce(np.add, arrays))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype in FLOATS:
        return np.asarray(np.divide(a, b))
    # Integers are divided towards zero, not down.
    down = np.floor_divide(a, b)
    return np.asarray(down + ((down * b != a) & ((a < 0) != (b < 0))))


def _power(step: Step) -> Value:
    x, exponent = step.input(), step.input(1)
    step.expect_floats(x)
    if exponent.dtype not in FLOATS and exponent.dtype.kind not in "iu":
        step.wrong(f"an exponent of {exponent.dtype}")
    shape = broadcast(step, x.shape, exponent.shape)
    compute = lambda a, b: np.power(wide(a), b.astype(wide(a).dtype))  # noqa: E731
    return step.makes(shape, x.dtype, compute, x, exponent)


def _clip(step: Step) -> Value:
    x, low, high = step.input(), step.optional(1), step.optional(2)
    bounds = [bound for bound in (low, high) if bound is not None]
    if any(bound.size != 1 or bound.dtype != x.dtype for bound in bounds):
        step.wrong("bounds that are no single numbers of its dtype")
    if x.dtype.kind not in "iu":
        step.expect_floats(x)
    lowest, highest = step.real("min", -np.inf), step.real("max", np.inf)
    is_old = not step.attributes.keys().isdisjoint(("min", "max"))

    def compute(array: np.ndarray, low: np.ndarray | None, high: np.ndarray | None) -> np.ndarray:
        below = array if low is None else np.maximum(array, low.reshape(()))
        inside = below if high is None else np.minimum(below, high.reshape(()))
        return np.clip(inside, lowest, highest) if is_old else inside

    return step.makes(x.shape, x.dtype, compute, x, low, high)


def _where(step: Step) -> Value:
    mask, x, y = step.input(0), step.input(1), step.input(2)
    if mask.dtype != np.bool_ or x.dtype != y.dtype:
        step.wrong(f"values of {mask.dtype}, {x.dtype} and {y.dtype}")
    shape = broadcast(step, mask.shape, x.shape, y.shape)
    return step.makes(shape, x.dtype, np.where, mask, x, y)


def _compares(function: _Function) -> Callable[[Step], Value]:
    def rule(step: Step) -> Value:
        a, b = step.input(0), step.input(1)
        shape = broadcast(step, a.shape, b.shape)
        return step.makes(shape, np.dtype(np.bool_), function, a, b)

    return rule


def _reduces(function: _Function) -> Callable[[Step], Value]:
    def rule(step: Step) -> Value:
        x = step.input()
        rank = len(x.shape)
        if x.dtype.kind not in "iu":
            step.expect_floats(x)
        if x.size == 0:
            step.wrong(f"an empty array {x.shape}")
        axes, keeps = step.axes(rank), bool(step.number("keepdims", 1))
        # Without axes it reduces all, or none: |x| is then what is left of an L2 norm.
        if not axes:
            axes = [] if step.number("noop_with_empty_axes", 0) else [*range(rank)]
        reduced = tuple(axes)
        sizes = [
            1 if i in axes else size for i, size in enumerate(x.shape) if keeps or i not in axes
        ]
        compute = lambda a: function(wide(a), axis=reduced, keepdims=keeps)  # noqa: E731
        return step.makes(sizes, x.dtype, compute, x, cost=x.size)

    return rule


def _norm(array: np.ndarray, **axes) -> np.ndarray:
    return np.asarray(np.sqrt(np.square(array).sum(**axes)))


def _sigmoid(array: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-array)))


_float = functools.partial(_pointwise, count=1, floats_only=True)

ARITHMETIC: dict[str, Callable[[Step], Value]] = {
    "Add": _pointwise(np.add, 2),
    "Sub": _pointwise(np.subtract, 2),
    "Mul": _pointwise(np.multiply, 2),
    "Div": _pointwise(_divide, 2),
    "Sum": _pointwise(_sum),
    "Mean": _float(lambda *arrays: _sum(*arrays) / len(arrays), count=0),
    "Max": _pointwise(lambda *arrays: functools.reduce(np.maximum, arrays)),
    "Min": _pointwise(lambda *arrays: functools.reduce(np.minimum, arrays)),
    "Neg": _pointwise(np.negative, 1),
    "Abs": _pointwise(np.abs, 1),
    "Sign": _pointwise(np.sign, 1),
    "Relu": _pointwise(lambda a: np.maximum(a, np.zeros_like(a)), 1),
    "Sqrt": _float(np.sqrt),
    "Reciprocal": _float(lambda a: 1 / a),
    "Exp": _float(np.exp),
    "Log": _float(np.log),
    "Tanh": _float(np.tanh),
    "Sigmoid": _float(_sigmoid),
    "Softplus": _float(lambda a: np.logaddexp(a, 0)),
    "Floor": _float(np.floor),
    "Ceil": _float(np.ceil),
    "Round": _float(np.rint),
    "Pow": _power,
    "Clip": _clip,
    "Where": _where,
    "Equal": _compares(np.equal),
    "Less": _compares(np.less),
    "LessOrEqual": _compares(np.less_equal),
    "Greater": _compares(np.greater),
    "GreaterOrEqual": _compares(np.greater_equal),
    "ReduceSum": _reduces(np.sum),
    "ReduceMean": _reduces(np.mean),
    "ReduceProd": _reduces(np.prod),
    "ReduceMax": _reduces(np.max),
    "ReduceMin": _reduces(np.min),
    "ReduceL1": _reduces(lambda a, **axes: np.abs(a).sum(**axes)),
    "ReduceL2": _reduces(_norm),
    "ReduceSumSquare": _reduces(lambda a, **axes: np.square(a).sum(**axes)),
}
"""All of them, by name."""
