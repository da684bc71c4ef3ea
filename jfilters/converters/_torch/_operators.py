"""The few operators of exported programs by which weights are computed, on arrays of NumPy.

Each runs in the dtype of its operands, as the program does: what is elementwise is equal bit by bit.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import CheckpointError
from .._dtypes import numeric_dtype
from ._storage import MAX_RANK

GROWTH = 1 << 12
"""Elements that a result may have beyond 64 times those of the largest array that it is made of."""

MAX_PARTS = 400
"""Arrays that are joined into one."""

_DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    12: "bool", 13: "bfloat16", 28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2",
    31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}  # fmt: skip
"""torch's numbers of dtypes in exported programs."""


def dtype_name(number: object) -> str:
    """The name of the dtype of this number; "unknown" for those that NumPy lacks."""
    return _DTYPES.get(number, "unknown") if type(number) is int else "unknown"


def _promoted(x: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two operands in the dtype that torch computes in: floats win over integers, axes over none."""
    kinds = [_is_float(x), _is_float(other)]
    if kinds[0] != kinds[1]:
        dtype = x.dtype if kinds[0] else other.dtype
        single = (other if kinds[1] else x).ndim == 0 and (x.ndim or other.ndim)
        dtype = np.dtype(np.float32) if single else dtype
        return x.astype(dtype), other.astype(dtype)
    if bool(x.ndim) != bool(other.ndim):
        dtype = x.dtype if x.ndim else other.dtype
        return x.astype(dtype), other.astype(dtype)
    return x, other


def _is_float(x: np.ndarray) -> bool:
    return x.dtype.kind not in "iub"


def _binary(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def run(x: Any, other: Any, alpha: Any = 1) -> np.ndarray:
        x, other = _promoted(np.asarray(x), np.asarray(other))
        other = other if alpha == 1 else other * np.asarray(alpha, other.dtype)
        _checked(np.broadcast_shapes(x.shape, other.shape), max(x.size, other.size))
        return np.asarray(function(x, other))

    return run


def _checked(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    if len(shape) > MAX_RANK or math.prod(shape) > 64 * size + GROWTH:
        raise CheckpointError(f"an intermediate array of {shape}, far larger than what is stored")
    return shape


def _unary(function: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    # Extended floats are computed in float32 and rounded once, as torch does.
    def run(x: np.ndarray, **options: Any) -> np.ndarray:
        return function(x.astype(_opmath(x.dtype))).astype(x.dtype)

    return run


def _opmath(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
    values = axis if isinstance(axis, list) else [axis]
    return tuple(range(rank)) if axis is None or not values else tuple(int(a) for a in values)


def _norm(
    x: np.ndarray,
    ord: Any = 2,
    axis: Any = None,
    keepdim: bool = False,
    p: Any = None,
    **options: Any,
) -> np.ndarray:
    if (ord if p is None else p) != 2:
        raise CheckpointError("a norm that is not of order 2")
    squares = np.square(x.astype(np.float64)).sum(_axes(axis, x.ndim), keepdims=bool(keepdim))
    return np.asarray(np.sqrt(squares)).astype(x.dtype)


def _weight_norm(v: np.ndarray, g: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    # -1 stands for all axes rather than for the last.
    norm = _norm(v, 2, [a for a in range(v.ndim) if a != axis or axis == -1] or None, True)
    return np.asarray(v * (g / norm)), norm


def _sum(x: np.ndarray, axis: Any = None, keepdim: bool = False, **options: Any) -> np.ndarray:
    return np.asarray(x.sum(_axes(axis, x.ndim), np.float64, keepdims=bool(keepdim))).astype(
        x.dtype
    )


def _mean(x: np.ndarray, axis: Any = None, keepdim: bool = False, **options: Any) -> np.ndarray:
    return np.asarray(x.mean(_axes(axis, x.ndim), np.float64, keepdims=bool(keepdim))).astype(
        x.dtype
    )


def _cast(x: np.ndarray, dtype: Any = None, **options: Any) -> np.ndarray:
    if "other" in options:
        return x.astype(options["other"].dtype)
    kind = x.dtype if dtype is None else numeric_dtype(dtype_name(dtype))
    if kind is None:
        raise CheckpointError("a conversion to a dtype that is not known")
    return x.astype(kind)


def _same(x: np.ndarray, **options: Any) -> np.ndarray:
    return x


def _reshaped(x: np.ndarray, size: Any = None, shape: Any = None) -> np.ndarray:
    return x.reshape([int(n) for n in (shape if size is None else size)])


def _flattened(x: np.ndarray, start_dim: int = 0, end_dim: int = -1) -> np.ndarray:
    start, stop = int(start_dim) % max(x.ndim, 1), int(end_dim) % max(x.ndim, 1) + 1
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:stop]), *x.shape[stop:])


def _expanded(x: np.ndarray, size: Any, implicit: bool = False) -> np.ndarray:
    padded = (1,) * (len(size) - x.ndim) + x.shape
    shape = tuple(int(p if n == -1 else n) for n, p in zip(size, padded, strict=True))
    return np.broadcast_to(x, _checked(shape, x.size))


def _squeezed(x: np.ndarray, axis: Any = None) -> np.ndarray:
    axes = [a for a in _axes(axis, x.ndim) if x.shape[a] == 1]
    return np.squeeze(x, tuple(axes))


def _sliced(
    x: np.ndarray, axis: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> np.ndarray:
    index = [slice(None)] * x.ndim
    index[int(axis)] = slice(start, None if end is None else min(int(end), 1 << 62), int(step))
    return x[tuple(index)]


def _selected(x: np.ndarray, axis: int, index: int) -> np.ndarray:
    return np.asarray(np.take(x, int(index), int(axis)))


def _joined(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def run(tensors: list[np.ndarray], axis: int = 0) -> np.ndarray:
        if len(tensors) > MAX_PARTS:
            raise CheckpointError(f"more than {MAX_PARTS} arrays joined")
        return function(tensors, axis=int(axis))

    return run


def _along(values: Any, x: np.ndarray, axis: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 0:
        return values
    shape = [1] * x.ndim
    shape[int(axis)] = -1
    values = values.reshape(shape)
    if values.shape[int(axis)] != x.shape[int(axis)]:
        raise CheckpointError("scales that do not go with the axis of a quantized weight")
    return values


def _dequantized(
    x: np.ndarray, scales: Any = None, zero_points: Any = None, axis: int = 0, *, scale: Any = None,
    zero_point: Any = None, quant_min: Any = None, quant_max: Any = None, dtype: Any = None,
    out_dtype: Any = None,
) -> np.ndarray:  # fmt: skip
    zeros = zero_point if zero_points is None else zero_points
    factor = _along(scale if scales is None else scales, x, axis).astype(np.float32)
    values = x.astype(np.float32)
    if zeros is not None:
        values = values - _along(zeros, x, axis).astype(np.float32)
    return _cast(values * factor, out_dtype)


def _quantized(
    x: np.ndarray, scales: Any = None, zero_points: Any = None, axis: int = 0, *, scale: Any = None,
    zero_point: Any = None, quant_min: int, quant_max: int, dtype: Any = None,
) -> np.ndarray:  # fmt: skip
    factor = np.float32(1) / _along(scale if scales is None else scales, x, axis).astype(np.float32)
    zeros = _along(zero_point if zero_points is None else zero_points, x, axis)
    values = np.round(x.astype(np.float32) * factor) + zeros.astype(np.float32)
    return _cast(np.clip(values, quant_min, quant_max), dtype)


def _filled(size: Any, fill_value: Any = 0, dtype: Any = None, **options: Any) -> np.ndarray:
    shape = _checked(tuple(int(n) for n in size), 1)
    return _cast(np.full(shape, fill_value, np.float64), 7 if dtype is None else dtype)


def _product(
    x: np.ndarray, other: Any = None, vec: Any = None, mat2: Any = None, tensor: Any = None
) -> np.ndarray:
    factors = (factor for factor in (other, vec, mat2, tensor) if factor is not None)
    factor = next(factors)
    result = np.matmul(x.astype(np.float64), factor.astype(np.float64))
    return np.asarray(result).astype(x.dtype)


def _power(x: np.ndarray, exponent: Any) -> np.ndarray:
    if exponent == 2:
        return x * x
    return np.power(x.astype(_opmath(x.dtype)), float(exponent)).astype(x.dtype)


def _spread(root: bool) -> Callable[..., np.ndarray]:
    """The variance or, with its root, the standard deviation."""

    def run(
        x: np.ndarray,
        axis: Any = None,
        correction: Any = 1,
        keepdim: bool = False,
        unbiased: bool = True,
    ) -> np.ndarray:
        ddof = (1 if correction is None else correction) if unbiased else 0
        values = x.astype(np.float64).var(_axes(axis, x.ndim), ddof=ddof, keepdims=bool(keepdim))
        return np.asarray(np.sqrt(values) if root else values).astype(x.dtype)

    return run


_A = "aten."
_Q = "quantized_decomposed."
OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"{_A}{name}": _same for name in ("clone", "detach", "detach_", "alias", "contiguous")},
    f"{_A}lift_fresh_copy": _same,
    **{f"{_A}{name}": _cast for name in ("to", "_to_copy")},
    **{f"{_A}{name}": _reshaped for name in ("view", "reshape", "_unsafe_view")},
    f"{_A}flatten": _flattened,
    f"{_A}permute": lambda x, axis: np.transpose(x, [int(a) for a in axis]),
    f"{_A}transpose": lambda x, dim0, dim1: np.swapaxes(x, int(dim0), int(dim1)),
    f"{_A}t": lambda x: x.T,
    f"{_A}unsqueeze": lambda x, axis: np.expand_dims(x, int(axis)),
    f"{_A}squeeze": _squeezed,
    f"{_A}expand": _expanded,
    f"{_A}expand_as": lambda x, other: _expanded(x, list(other.shape)),
    f"{_A}slice": _sliced,
    f"{_A}select": _selected,
    f"{_A}flip": lambda x, axis: np.flip(x, tuple(int(a) for a in axis)),
    f"{_A}cat": _joined(np.concatenate),
    f"{_A}stack": _joined(np.stack),
    f"{_A}add": _binary(np.add),
    f"{_A}sub": _binary(np.subtract),
    f"{_A}mul": _binary(np.multiply),
    f"{_A}div": _binary(np.true_divide),
    f"{_A}maximum": _binary(np.maximum),
    f"{_A}neg": lambda x: -x,
    f"{_A}abs": lambda x: np.abs(x),
    f"{_A}square": lambda x: x * x,
    f"{_A}sqrt": _unary(np.sqrt),
    f"{_A}rsqrt": _unary(lambda x: 1 / np.sqrt(x)),
    f"{_A}reciprocal": _unary(lambda x: 1 / x),
    f"{_A}exp": _unary(np.exp),
    f"{_A}tanh": _unary(np.tanh),
    f"{_A}sigmoid": _unary(lambda x: 1 / (1 + np.exp(-x))),
    f"{_A}pow": _power,
    f"{_A}var": _spread(root=False),
    f"{_A}std": _spread(root=True),
    **{f"{_A}{name}": _product for name in ("mv", "mm", "dot", "vdot", "matmul")},
    f"{_A}sum": _sum,
    f"{_A}mean": _mean,
    f"{_A}norm": _norm,
    f"{_A}linalg_vector_norm": _norm,
    f"{_A}_weight_norm": lambda v, g, axis=0: _weight_norm(v, g, axis)[0],
    f"{_A}_weight_norm_interface": _weight_norm,
    **{f"{_A}{name}": _filled for name in ("full", "zeros", "ones")},
    **{f"{_Q}dequantize_per_{what}": _dequantized for what in ("channel", "tensor")},
    **{f"{_Q}quantize_per_{what}": _quantized for what in ("channel", "tensor")},
}  # fmt: skip
OPERATORS[f"{_A}ones"] = lambda size, **options: _filled(size, 1, **options)
"""The operators that are computed, by library and name; all overloads of one take the same arguments."""
