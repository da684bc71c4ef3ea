"""The operators between a stored weight and its convolution: those that arrange it, and arithmetic.

Masks of pruning, weight standardization and weight norm are arithmetic on constants and variables.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from ._flat import Reference
from ._nodes import Node
from ._value import Keys, NotFollowed, Value, keys_of

MAX_PARTS = 1 << 12
"""Arrays that one weight is made of."""

MAX_COST = 1 << 32
"""Values that are looked at to make one weight."""

_LONGEST = 64


Tracer = Callable[[Reference], Value]
"""Finds the value that an output of a node is. Raises NotFollowed."""


def arranged(tracer: Tracer, op: str, feeds: Sequence[Reference], record: Node | None) -> Value:
    """The value that an operator makes of stored ones. Raises NotFollowed if it is not followed."""
    if op in _ARRANGING:
        return _ARRANGING[op](tracer, feeds)
    if op in _ELEMENTWISE:
        parts = _operands(tracer, op, feeds)
        return _computed(op, parts, _broadcast(op, parts), _ELEMENTWISE[op])
    if op in _REDUCING and len(feeds) == 2:
        (value,) = _operands(tracer, op, feeds[:1])
        return _reduced(op, value, _numbers(tracer, feeds[1]), record)
    raise NotFollowed(f"computed by {op}", _keys_behind(tracer, feeds))


def _operands(tracer: Tracer, op: str, feeds: Sequence[Reference]) -> list[Value]:
    try:
        return [tracer(reference) for reference in feeds]
    except NotFollowed as error:
        raise NotFollowed(f"computed by {op}", _keys_behind(tracer, feeds)) from error


def _keys_behind(tracer: Tracer, feeds: Sequence[Reference]) -> tuple:
    """The keys of the stored values among the inputs of an operator."""
    keys: list = []
    for reference in feeds:
        try:
            keys += keys_of(tracer(reference))
        except NotFollowed as error:
            keys += error.keys
    return tuple(keys[:MAX_PARTS])


def _numbers(tracer: Tracer, reference: Reference) -> list[int]:
    """The whole numbers of a small constant, such as axes."""
    value = tracer(reference)
    if len(value.shape) > 1 or value.shape > (_LONGEST,):
        raise NotFollowed("arranged by numbers that are no axes")
    return [int(number) for number in np.asarray(value.read()).ravel()]


def _first(tracer: Tracer, feeds: Sequence[Reference]) -> Value:
    """A weight of one dimension, before the convolution of two that stands for its own expands it."""
    return tracer(feeds[0])


def _transpose(tracer: Tracer, feeds: Sequence[Reference]) -> Value:
    value, order = tracer(feeds[0]), _numbers(tracer, feeds[-1])
    if sorted(order) != [*range(len(value.shape))]:
        raise NotFollowed(f"transposed by {order[:8]}", keys_of(value))
    shape = tuple(value.shape[axis] for axis in order)
    return _like(value, shape, lambda: value.read().transpose(order))


def _reshape(tracer: Tracer, feeds: Sequence[Reference]) -> Value:
    value, sizes = tracer(feeds[0]), _numbers(tracer, feeds[-1])
    size, fixed = math.prod(value.shape), math.prod(n for n in sizes if n >= 0)
    shape = tuple(n if n >= 0 else size // max(fixed, 1) for n in sizes)
    if math.prod(shape) != size or len(shape) > 5:
        raise NotFollowed(f"reshaped to {shape[:8]}", keys_of(value))
    return _like(value, shape, lambda: value.read().reshape(shape))


def _like(value: Value, shape: tuple[int, ...], read: Callable[[], np.ndarray]) -> Value:
    return dataclasses.replace(value, shape=shape, read=read, is_whole=False)


def _concat(tracer: Tracer, feeds: Sequence[Reference]) -> Value:
    """The parts of a partitioned variable: one stored value, or several side by side."""
    if not 2 <= len(feeds) <= MAX_PARTS:
        raise NotFollowed("joined of too many parts")
    parts = [tracer(reference) for reference in feeds[:-1]]
    if parts[0].is_whole and len({part.key for part in parts}) == 1:
        return parts[0]
    axis, rank = (_numbers(tracer, feeds[-1]) or [0])[0], len(parts[0].shape)
    if not -rank <= axis < rank or any(len(part.shape) != rank for part in parts):
        raise NotFollowed(f"joined of unlike parts along {axis}")
    outer = {(*part.shape[: axis % rank], *part.shape[axis % rank + 1 :]) for part in parts}
    if len(outer) > 1:
        raise NotFollowed(f"joined of unlike parts along {axis}")
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return _made(parts, tuple(shape), lambda *arrays: np.concatenate(arrays, axis))


def _broadcast(op: str, parts: Sequence[Value]) -> tuple[int, ...]:
    """The shape of the result, which is that of one of the operands: no weight grows on its way."""
    try:
        shape = np.broadcast_shapes(*(part.shape for part in parts))
    except ValueError as error:
        raise NotFollowed(f"computed by {op} of unlike shapes") from error
    if shape not in {part.shape for part in parts}:
        raise NotFollowed(f"computed by {op} of shapes that grow")
    return shape


def _reduced(op: str, value: Value, axes: list[int], record: Node | None) -> Value:
    rank = len(value.shape)
    if any(not -rank <= axis < rank for axis in axes):
        raise NotFollowed(f"computed by {op} along {axes[:8]} of {value.shape}")
    reduced = {axis % rank for axis in axes}
    is_kept = bool(record and record.attribute("keep_dims"))
    sizes = [
        (1 if i in reduced else n) for i, n in enumerate(value.shape) if is_kept or i not in reduced
    ]
    function, places = _REDUCING[op], tuple(sorted(reduced))
    return _computed(
        op, [value], tuple(sizes), lambda array: function(array, axis=places, keepdims=is_kept)
    )


def _computed(
    op: str, parts: Sequence[Value], shape: tuple[int, ...], function: Callable[..., np.ndarray]
) -> Value:
    def compute(*arrays: np.ndarray) -> np.ndarray:
        # A division by zero is the network's own, and is counted as such downstream.
        with np.errstate(all="ignore"):
            return function(*arrays).reshape(shape)

    value = _made(parts, shape, compute)
    return Value(value.key, shape, value.read, is_computed=True, cost=value.cost)


def _made(
    parts: Sequence[Value], shape: tuple[int, ...], function: Callable[..., np.ndarray]
) -> Value:
    """A value made of others, named after the largest one."""
    ordered = sorted(parts, key=lambda part: -math.prod(part.shape))
    keys = Keys(dict.fromkeys(key for part in ordered for key in keys_of(part)))
    cost = sum(part.cost for part in parts) + math.prod(shape)
    if len(keys) > MAX_PARTS or cost > MAX_COST:
        raise NotFollowed("made of too many parts")
    is_computed = any(part.is_computed for part in parts)

    def read() -> np.ndarray:
        return function(*(part.read() for part in parts))

    return Value(keys, shape, read, is_computed=is_computed, cost=cost)


_ARRANGING: dict[str, Callable[[Tracer, Sequence[Reference]], Value]] = {
    "ExpandDims": _first,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "ConcatV2": _concat,
}
_ELEMENTWISE: dict[str, Callable[..., np.ndarray]] = {
    "Mul": np.multiply, "RealDiv": np.divide, "Div": np.divide, "Add": np.add, "AddV2": np.add,
    "Sub": np.subtract, "Maximum": np.maximum, "Minimum": np.minimum, "Sqrt": np.sqrt,
    "Rsqrt": lambda x: 1 / np.sqrt(x), "Square": np.square, "Neg": np.negative, "Abs": np.abs,
    "SquaredDifference": lambda x, y: np.square(x - y), "Exp": np.exp,
    "Reciprocal": lambda x: 1 / x, "Inv": lambda x: 1 / x, "Sign": np.sign,
}  # fmt: skip
_REDUCING: dict[str, Callable[..., np.ndarray]] = {
    "Mean": np.mean, "Sum": np.sum, "Max": np.max, "Min": np.min,
}  # fmt: skip
