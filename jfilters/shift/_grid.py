"""The grid that quantization puts the values of a weight on: multiples of a step, or float8 with a scale.

NumPy on the host; weights are float32 as they were read, and their values may have been rounded once more.
"""

import functools
import itertools
from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Bool, Float

from ._difference import half_unit, numpy_dtype, sample

Weight = Float[np.ndarray, "out *rest"]
Rows = Float[np.ndarray, "channels m"]

LEVELS = 255
"""Steps from zero to the largest weight on the finest grid that counts as quantized, of 8 bits."""

GRID_TOLERANCE = 0.07
"""Steps by which a value may miss its grid: half a float16 unit at 127 steps, for stored products."""

GRID_VALUES = 9
"""Nonzero values from which a channel tells a grid: 8 free ones fit one of 255 by chance once in 10^4."""

FEW = 16
"""Values that are looked at first: free ones all lie within the tolerance of a grid once in 10^13."""

CODES = ("float8_e5m2", "float8_e4m3fn")
"""Narrow floating-point types that weights are stored in with a scale beside them."""

CODE_TOLERANCE = np.float32(1.02 * 2.0**-7)
"""Part of itself by which a value may miss its code: half a bfloat16 unit, and as much of the largest."""

_HALF_STEP = 0.51


class Grid(NamedTuple):
    """Values that are whole multiples of a step: the most `levels` from zero to the largest.

    With a `code` they are values of that narrow type times a scale, and `levels` is how many of them are
    positive. `near` is the share of the other weight's values that lie within half a step, and `error` the
    mean distance of those that are not zero in both, in steps: rounding makes a quarter.
    """

    levels: int
    per_channel: bool
    near: float
    error: float = 0.25
    code: str = ""


def grid(weight: Weight, other: Weight) -> Grid | None:
    """The grid of at most 8 bits that the values of `weight` lie on; None if there is none.

    Of the whole weight, or of each output channel by itself. A grid holds zero, so that its step is the
    largest value divided by a whole number; `other` is what may have been rounded to it.
    """
    rows, other_rows = (x.reshape(len(x), -1) for x in (weight, other))
    for per_channel in (False, True):
        parts = rows if per_channel else rows.reshape(1, -1)
        apart = np.abs(other_rows.reshape(parts.shape) - parts)
        lattice = _steps(parts, apart, per_channel) or _codes(parts, apart, per_channel)
        if lattice is not None:
            return lattice
    return None


def _steps(parts: Rows, apart: Rows, per_channel: bool) -> Grid | None:
    levels = _levels(parts)
    if levels is None:
        return None
    steps = (np.abs(parts).max(axis=1) / np.maximum(levels, 1))[:, None]
    near = apart <= _HALF_STEP * steps
    is_telling = levels > 0
    error = _mean_error(parts[is_telling], apart[is_telling] / steps[is_telling])
    return Grid(int(levels.max()), per_channel, float(np.mean(near[is_telling])), error)


def _mean_error(values: Rows, errors: Rows) -> float:
    """Return the mean of errors of less than a step; values that clipping or training moved are further."""
    is_counted = (errors < 1) & ((values != 0) | (errors != 0))
    return float(np.mean(errors[is_counted])) if is_counted.any() else 0.0


def _codes(parts: Rows, apart: Rows, per_channel: bool) -> Grid | None:
    telling = _telling(parts)
    if telling is None:
        return None
    for code in CODES:
        scales = list(itertools.takewhile(bool, (_scale(row, code) for row in parts[telling])))
        if len(scales) == np.count_nonzero(telling):
            scale = np.array(scales, np.float32)[:, None]
            values = parts[telling]
            step = 2 * scale * half_unit(values / scale, code)
            allowed = _HALF_STEP * step + CODE_TOLERANCE * np.abs(values)
            near = float(np.mean(apart[telling] <= allowed))
            error = _mean_error(values, apart[telling] / (scale * _spacing(values / scale, code)))
            return Grid(len(_positive(code)), per_channel, near, error, code)
    return None


def _levels(rows: Rows) -> np.ndarray | None:
    """Levels of each row's grid, 0 where the row cannot tell; None unless all rows that can have one."""
    telling = _telling(rows)
    if telling is None:
        return None
    levels = np.zeros(len(rows), np.int64)
    for index in np.flatnonzero(telling):
        levels[index] = _row_levels(rows[index])
        if not levels[index]:
            return None
    return levels


def _row_levels(row: Float[np.ndarray, " m"]) -> int:
    relative = row / np.abs(row).max()
    counts = np.arange(1, LEVELS + 1, dtype=np.float32)
    for values in (_few(relative), sample(relative)):
        counts = counts[_misses(values[None, :] * counts[:, None]) <= GRID_TOLERANCE]
    for count in counts:
        if _misses((relative * count)[None])[0] <= GRID_TOLERANCE:
            return int(count)
    return 0


def _telling(rows: Rows) -> Bool[np.ndarray, " channels"] | None:
    """Rows of values enough; None if most have too few, or one is not finite."""
    telling = np.count_nonzero(rows, axis=1) >= GRID_VALUES
    is_enough = 2 * np.count_nonzero(telling) >= len(rows) and telling.any()
    return telling if is_enough and np.isfinite(rows).all() else None


def _scale(row: Float[np.ndarray, " m"], code: str) -> float:
    """The scale of which a row holds values of a narrow type; 0 if there is none."""
    largest = float(np.abs(row).max())
    tops = _positive(code)
    relative = row / np.float32(largest)
    for values in (_few(relative), sample(relative)):
        tops = tops[_is_coded(values[None, :] * tops[:, None], code)]
    for top in tops:
        if _is_coded((relative * top)[None], code)[0]:
            return largest / float(top)
    return 0.0


def _few(values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
    """Return a few values that are not zero: they refute most grids in a tenth of the time of more."""
    nonzero = values[values != 0]
    return nonzero[:: max(1, len(nonzero) // FEW)]


def _spacing(values: Rows, code: str) -> Rows:
    """Return the distance of the value of a narrow type that each one is from the next larger one."""
    limits = ml_dtypes.finfo(numpy_dtype(code))
    rounded = values.astype(numpy_dtype(code)).astype(np.float32)
    # A significand in [0.5, 1) has the spacing of half its exponent's power.
    power = np.ldexp(np.float32(0.5), np.frexp(rounded)[1])
    return np.maximum(power * np.float32(limits.eps), np.float32(limits.smallest_subnormal))


def _is_coded(values: Float[np.ndarray, "k m"], code: str) -> Bool[np.ndarray, " k"]:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = values.astype(numpy_dtype(code)).astype(np.float32)
        return np.all(np.abs(rounded - values) <= CODE_TOLERANCE * np.abs(values), axis=1)


@functools.cache
def _positive(code: str) -> Float[np.ndarray, " k"]:
    """The positive finite values of an 8-bit type, the largest first."""
    values = np.arange(1, 128, dtype=np.uint8).view(numpy_dtype(code)).astype(np.float32)
    return np.sort(values[np.isfinite(values)])[::-1]


def _misses(multiples: Float[np.ndarray, "k m"]) -> Float[np.ndarray, " k"]:
    return np.abs(multiples - np.rint(multiples)).max(axis=1)
