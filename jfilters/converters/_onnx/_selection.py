"""Operators that select, join, repeat and pad the numbers of tensors, and those that make small ones.

Their meaning is that of the ONNX operator specification, onnx/docs/Operators.md, in all versions.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from ._step import Step, broadcast
from ._tensor import MAX_RANK
from ._value import Value

_INT_MAX = np.iinfo(np.int32).max


def _concat(step: Step) -> Value:
    parts = [step.input(position) for position in range(max(len(step.inputs), 1))]
    first = parts[0]
    axis = step.axis(1, len(first.shape))
    outer = {(*x.shape[:axis], "joined", *x.shape[axis + 1 :], x.dtype) for x in parts}
    if len(outer) > 1 or any(len(x.shape) != len(first.shape) for x in parts):
        step.wrong(f"shapes {' and '.join(str(x.shape) for x in parts[:4])} along axis {axis}")
    shape = [*first.shape]
    shape[axis] = sum(x.shape[axis] for x in parts)
    return step.makes(shape, first.dtype, lambda *arrays: np.concatenate(arrays, axis), *parts)


def _slice(step: Step) -> Value:
    x, starts, ends = step.input(), step.ints("starts", 1), step.ints("ends", 2)
    if starts is None or ends is None:
        step.wrong("no start or end")
    axes = step.axes(len(x.shape), 3)
    axes = [*range(len(starts))] if axes is None else axes
    steps = step.ints("steps", 4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) <= len(x.shape) or 0 in steps:
        step.wrong(f"{len(starts)} starts, {len(ends)} ends and steps {steps[:MAX_RANK]}")
    places = [slice(None)] * len(x.shape)
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        places[axis] = _interval(start, end, stride, x.shape[axis])
    return _selection(step, x, places)


def _interval(start: int, end: int, step: int, size: int) -> slice:
    """The slice along an axis of `size`. Backwards ONNX is not Python: a start is clamped into the axis."""
    if step > 0 or size == 0:
        return slice(start, end, step)
    first = start + size if start < 0 else start
    last = end + size if end < 0 else end
    # The largest integer means the very end in both directions, as onnxruntime has it.
    reaches = last < 0 or end >= _INT_MAX
    return slice(min(max(first, 0), size - 1), None if reaches else last, step)


def _selection(step: Step, x: Value, places: list[slice]) -> Value:
    """The part of `x` in a slice of each axis."""
    pairs = zip(places, x.shape, strict=True)
    shape = [len(range(*place.indices(size))) for place, size in pairs]
    return step.makes(shape, x.dtype, lambda array: array[tuple(places)], x)


def _split(step: Step) -> Value:
    x, sizes = step.input(), step.ints("split", 1)
    axis = step.axis(0, len(x.shape))
    if sizes is None:
        sizes = _even(x.shape[axis], step.number("num_outputs", step.outputs))
    if step.output >= len(sizes):
        step.wrong(f"{len(sizes)} parts of {x.shape}")
    return _part(step, x, axis, sizes, step.output)


def _part(step: Step, x: Value, axis: int, sizes: list[int], index: int) -> Value:
    """One part of `x`, which is cut into `sizes` along an axis."""
    if min(sizes) < 0 or sum(sizes) != x.shape[axis]:
        step.wrong(f"parts of {sizes[:MAX_RANK]} along axis {axis} of {x.shape}")
    start = sum(sizes[:index])
    places = [slice(None)] * len(x.shape)
    places[axis] = slice(start, start + sizes[index])
    return _selection(step, x, places)


def _split_to_sequence(step: Step) -> Value:
    x, lengths = step.input(), step.parameter(1)
    axis = step.axis(0, len(x.shape))
    size, sizes = x.shape[axis], step.ints("split", 1)
    if lengths is None or sizes is None:
        sizes = [1] * size
    elif not lengths.shape:
        length = max(sizes[0], 1)
        sizes = [min(length, size - start) for start in range(0, size, length)]
    if not 0 < len(sizes) <= MAX_RANK**2 or (lengths is None and not step.number("keepdims", 1)):
        step.unread(f"{len(sizes)} parts of {x.shape}")
    parts = tuple(_part(step, x, axis, sizes, index) for index in range(len(sizes)))
    sequence = step.makes(x.shape, x.dtype, lambda array: array, x)
    return dataclasses.replace(sequence, parts=parts)


def _sequence_at(step: Step) -> Value:
    parts, place = step.input().parts, step.ints("position", 1)
    if not place or not -len(parts) <= place[0] < len(parts):
        step.wrong(f"place {place} of {len(parts)}")
    return parts[place[0]]


def _even(size: int, count: int) -> list[int]:
    """The sizes of `count` equal parts, of which the last may be smaller."""
    if not 0 < count <= size:
        return []
    part = -(-size // count)
    return [*[part] * (count - 1), size - part * (count - 1)]


def _gather(step: Step) -> Value:
    x, places = step.input(), step.parameter(1)
    axis = step.axis(0, len(x.shape))
    size = x.shape[axis]
    if places is None or places.dtype.kind not in "iu":
        step.wrong("no indices")
    if places.size and not -size <= places.min() <= places.max() < size:
        step.wrong(f"indices {places.min()}..{places.max()} along an axis of {size}")
    shape = [*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]]
    return step.makes(shape, x.dtype, lambda array: array.take(places, axis), x)


def _expand(step: Step) -> Value:
    x, sizes = step.input(), step.ints("shape", 1)
    if sizes is None or len(sizes) > MAX_RANK:
        step.wrong("no shape")
    shape = broadcast(step, x.shape, tuple(sizes))
    return step.makes(shape, x.dtype, lambda array: np.broadcast_to(array, shape), x)


def _tile(step: Step) -> Value:
    x, repeats = step.input(), step.ints("repeats", 1)
    if repeats is None or len(repeats) != len(x.shape) or len(step.inputs) > 2:
        step.wrong(f"repeats for {x.shape}")
    shape = [size * count for size, count in zip(x.shape, repeats, strict=True)]
    return step.makes(shape, x.dtype, lambda array: np.tile(array, repeats), x)


def _pad(step: Step) -> Value:
    x, widths, rank = step.input(), _pads(step), len(step.input().shape)
    mode = step.text("mode", "constant")
    if mode != "constant":
        step.unread(f"mode {mode}")
    value = step.optional(2)
    if len(widths) != 2 * rank or (value is not None and value.size != 1):
        step.wrong(f"pads {widths[: 2 * MAX_RANK]} of {x.shape}")
    pairs = list(zip(widths[:rank], widths[rank:], strict=True))
    shape = [size + sum(pair) for size, pair in zip(x.shape, pairs, strict=True)]
    filler, fill = step.real("value", 0.0), [(max(a, 0), max(b, 0)) for a, b in pairs]
    # Negative widths crop, and do so first: padding the whole could take far more than the result.
    crop = tuple(slice(max(-a, 0), b if b < 0 else None) for a, b in pairs)

    def compute(array: np.ndarray, value: np.ndarray | None) -> np.ndarray:
        padding = filler if value is None else value.reshape(())
        return np.pad(array[crop], fill, constant_values=padding)

    return step.makes(shape, x.dtype, compute, x, value)


def _pads(step: Step) -> list[int]:
    """The widths in front of every axis, then those behind every axis."""
    old = step.attributes.get("paddings")
    widths, rank = old.ints() if old else step.ints("pads", 1), len(step.input().shape)
    axes = step.axes(rank, 3)
    if axes is None or widths is None or len(widths) != 2 * len(axes):
        return widths or []
    spread = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        spread[axis], spread[rank + axis] = widths[index], widths[len(axes) + index]
    return spread


def _shape(step: Step) -> Value:
    rank = len(step.input().shape)
    start, end = step.number("start", 0), step.number("end", rank)
    sizes = np.array(step.input().shape[start:end], np.int64)
    return step.makes(sizes.shape, sizes.dtype, lambda: sizes)


def _size(step: Step) -> Value:
    size = np.array(step.input().size, np.int64)
    return step.makes((), size.dtype, lambda: size)


def _constant_of_shape(step: Step) -> Value:
    shape, attribute = step.ints("shape", 0), step.attributes.get("value")
    value, fill = None, np.zeros((), np.float32)
    if attribute and attribute.tensor:
        value = step.tensor(attribute.tensor)
        if value is None or value.size != 1:
            step.wrong("a value that is not read")
        fill = value.read().reshape(())
    if shape is None or len(shape) > MAX_RANK:
        step.wrong("no shape")
    return step.makes(shape, fill.dtype, lambda: np.broadcast_to(fill, shape))


def _range(step: Step) -> Value:
    numbers = [step.parameter(position) for position in range(3)]
    start, limit, delta = (x.reshape(-1)[0] if x is not None and x.size else 0 for x in numbers)
    count = (float(limit) - float(start)) / float(delta) if delta else math.nan
    if not math.isfinite(count):
        step.wrong(f"{start}, {limit} and {delta}")
    size, dtype = max(math.ceil(count), 0), step.input().dtype
    return step.makes((size,), dtype, lambda: start + delta * np.arange(size).astype(dtype))


SELECTIONS: dict[str, Callable[[Step], Value]] = {
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "SplitToSequence": _split_to_sequence,
    "SequenceAt": _sequence_at,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "Shape": _shape,
    "Size": _size,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
}
"""All of them, by name."""
