"""The operators over stored tensors that a weight may be computed by, and how it then comes about."""

from collections.abc import Callable

from ...layers import Applied
from ._arithmetic import ARITHMETIC
from ._layout import LAYOUT
from ._normalization import NORMALIZATIONS
from ._products import PRODUCTS
from ._quantization import QUANTIZATION
from ._selection import SELECTIONS
from ._step import Step
from ._value import Value, workload

OPERATIONS: dict[str, Callable[[Step], Value]] = {
    **LAYOUT,
    **QUANTIZATION,
    **SELECTIONS,
    **ARITHMETIC,
    **PRODUCTS,
    **NORMALIZATIONS,
}
"""All of them, by name."""

PASSING = LAYOUT.keys() | QUANTIZATION.keys()
"""Operators that pass a tensor on: as it is, or dequantized."""


def applied(value: Value) -> Applied:
    """The way from the stored tensors to a weight."""
    operators = workload(value).operators
    if operators <= LAYOUT.keys():
        return "as stored"
    if operators <= PASSING:
        return "dequantized"
    return "weight-norm" if _is_weight_norm(_bare(value)) else "computed"


def _is_weight_norm(value: Value) -> bool:
    """Recognize g v / |v|, computed in either order, the norm over all axes but those of g."""
    if value.op != "Mul" or len(value.inputs) != 2:
        return False
    a, b = value.inputs
    return any(_is_scaled_direction(x, y) for x, y in ((a, b), (b, a)) if x and y)


def _is_scaled_direction(ratio: Value, factor: Value) -> bool:
    """Recognize v / |v| as `ratio` and g as `factor`, or g / |v| as `ratio` and v as `factor`."""
    if ratio.op != "Div":
        return False
    above, norm = ratio.inputs
    if above is None or norm is None:
        return False
    if _is_norm(norm, above):
        return _is_stored(above) and _is_stored(factor) and factor.size == norm.size
    return (
        _is_norm(norm, factor)
        and _is_stored(factor)
        and _is_stored(above)
        and above.size == norm.size
    )


def _is_norm(norm: Value, value: Value) -> bool:
    """Recognize the Euclidean norm of `value` over some of its axes, possibly reshaped."""
    norm, op = _bare(norm), "ReduceL2"
    if norm.op == "Sqrt" and norm.inputs[0]:
        norm, op = norm.inputs[0], "ReduceSumSquare"
    normed = norm.inputs[0] if norm.op == op else None
    return normed is not None and _bare(normed) is _bare(value)


def _is_stored(value: Value) -> bool:
    return workload(value).operators <= LAYOUT.keys()


def _bare(value: Value) -> Value:
    """A value without the layout operators at its end."""
    while value.op in LAYOUT and value.inputs and value.inputs[0]:
        value = value.inputs[0]
    return value
