"""The grid that quantization puts the values of a weight on: multiples of a step, or float8 with a scale.

NumPy on the host; weights are float32 as they were read, and their values may have been rounded once more.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from ._difference import SAMPLED, half_unit, narrowest, nonzero_rows, numpy_dtype, sample

Weight = Float[np.ndarray, "out *rest"]
Rows = Float[np.ndarray, "channels m"]

LEVELS = 255
"""Steps from zero to the largest weight on the finest grid that counts as quantized, of 8 bits."""

GRID_TOLERANCE = 0.07
"""Steps by which a value of float32 may miss its grid: products were computed in narrower types."""

ROUNDED_AGAIN = 1.02
"""Half units of its own type by which a value of a narrower type may miss its grid, beside `ARITHMETIC`."""

ARITHMETIC = 1e-3
"""Steps by which float32 arithmetic moves a value of a grid."""

GRID_VALUES = 4
"""Different values from which a channel says anything about a grid; fewer do if there are `CODE_VALUES`."""

LEAST_CHANCE = 1e-4
"""Chance of free values to lie on a grid, of all channels together, below which they lie on one."""

STEPS_TRIED = 4.0
"""Free steps near each number of levels, for that chance: one value is always on its grid."""

FEW = 16
"""Values that are looked at first: free ones all lie within the tolerance of a grid once in 10^13."""

NEAR_ALL = 0.95
"""Share of the other weight's values within half a step from which no further kind of grid is tried."""

CODES = ("float8_e5m2", "float8_e4m3fn")
"""Narrow floating-point types that weights are stored in with a scale beside them."""

CODE_VALUES = 9
"""Nonzero values from which a channel tells whether it holds values of a narrow type."""

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

    Of the whole weight, or of each output channel by itself. A grid holds zero or the smallest value, and
    its values may have been rounded to float16 or bfloat16 since; `other` is what may have been rounded to
    it. Several grids may fit the same values; one that `other` rounds to comes first.
    """
    rows, other_rows = (x.reshape(len(x), -1) for x in (weight, other))
    if not np.isfinite(rows).all():
        return None
    name = narrowest(weight)
    lattices = []
    for per_channel in (False, True):
        parts = rows if per_channel else rows.reshape(1, -1)
        with np.errstate(invalid="ignore"):
            apart = np.abs(other_rows.reshape(parts.shape) - parts)
        for lattice in _lattices(parts, apart, name, per_channel):
            if lattice.near >= NEAR_ALL:
                return lattice
            lattices.append(lattice)
    return lattices[0] if lattices else None


def _lattices(parts: Rows, apart: Rows, name: str | None, per_channel: bool) -> Iterator[Grid]:
    """Yield the grids of rows: with zero, of a narrow type, and with the smallest value of each row."""
    errors = None if name is None else np.float32(ROUNDED_AGAIN) * half_unit(parts, name)
    yield from _steps(parts, apart, errors, per_channel)
    yield from _codes(parts, apart, name, per_channel)
    lowest = parts.min(axis=1, keepdims=True)
    if errors is not None:
        errors += half_unit(lowest, str(name))
    yield from _steps(parts - lowest, apart, errors, per_channel)


def _steps(parts: Rows, apart: Rows, errors: Rows | None, per_channel: bool) -> Iterator[Grid]:
    steps, levels = row_steps(parts, errors)
    is_telling = levels > 0
    if not is_telling.any():
        return
    near = apart[is_telling] <= _HALF_STEP * steps[is_telling, None] + (
        0 if errors is None else errors[is_telling]
    )
    error = _mean_error(parts[is_telling], apart[is_telling] / steps[is_telling, None])
    yield Grid(int(levels.max()), per_channel, float(np.mean(near)), error)


def _mean_error(values: Rows, errors: Rows) -> float:
    """Return the mean of errors of less than a step; values that clipping or training moved are further.

    Values that are zero on the grid do not count: with a few levels most round to zero from near it.
    """
    is_counted = (errors < 1) & (values != 0)
    return float(np.mean(errors[is_counted])) if is_counted.any() else 0.0


def _codes(parts: Rows, apart: Rows, name: str | None, per_channel: bool) -> Iterator[Grid]:
    telling = _telling(parts)
    if telling is None:
        return
    for code in CODES:
        scales = list(
            itertools.takewhile(bool, (code_scale(row, code, name) for row in parts[telling]))
        )
        if len(scales) == np.count_nonzero(telling):
            scale = np.array(scales, np.float32)[:, None]
            values = parts[telling]
            step = 2 * scale * half_unit(values / scale, code)
            allowed = _HALF_STEP * step + CODE_TOLERANCE * np.abs(values)
            near = float(np.mean(apart[telling] <= allowed))
            error = _mean_error(
                values, apart[telling] / (scale * code_spacing(values / scale, code))
            )
            yield Grid(len(_positive(code)), per_channel, near, error, code)
            return


def row_steps(
    rows: Rows, errors: Rows | None
) -> tuple[Float[np.ndarray, " channels"], Int[np.ndarray, " channels"]]:
    """Return the step and the levels of each row's grid; no levels where a row cannot tell.

    None of the rows has any if one of them lies on no grid, or if free values would do so too.
    """
    steps, levels = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int64)
    total = 0.0
    for index, row in enumerate(rows):
        row_errors = None if errors is None else errors[index]
        values = row[np.flatnonzero(row)[:CODE_VALUES]]
        if len(values) < CODE_VALUES and len(np.unique(np.abs(values))) < GRID_VALUES:
            continue
        steps[index], levels[index], chance = _row_step(row, row_errors)
        if not levels[index]:
            return steps, np.zeros_like(levels)
        total += chance
    is_enough = 2 * np.count_nonzero(levels) >= nonzero_rows(rows) and total <= math.log(
        LEAST_CHANCE
    )
    return steps, levels if is_enough else np.zeros_like(levels)


def _row_step(
    row: Float[np.ndarray, " m"], errors: Float[np.ndarray, " m"] | None
) -> tuple[float, int, float]:
    """Return step and levels of a row, and the log of the chance of free values; 0 levels for none."""
    counts = np.arange(1, LEVELS + 1)
    largest = int(np.argmax(np.abs(row)))
    nonzero = np.flatnonzero(row)
    for most in (FEW, SAMPLED):  # they refute most grids before all values are sorted
        places = np.append(largest, nonzero[:: max(1, len(nonzero) // most)])
        part = None if errors is None else errors[places].astype(np.float64)
        counts = counts[_fits(np.abs(row[places]).astype(np.float64), part, counts)]
    if not len(counts):
        return 0.0, 0, 0.0
    values, allowed, repeats = _different(row, errors)
    for count in counts:
        fit = _fit(values, allowed, int(count), repeats)
        if fit is not None:
            return fit[0], int(count), fit[1] + math.log(STEPS_TRIED * count)
    return 0.0, 0, 0.0


def _different(
    row: Float[np.ndarray, " m"], errors: Float[np.ndarray, " m"] | None
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"] | None, Num[np.ndarray, " k"]]:
    """Return the different absolute values but zero, with their errors, and how often each one counts."""
    values, places, repeats = np.unique(np.abs(row), return_index=True, return_counts=True)
    is_nonzero = values > 0
    values, places = values[is_nonzero].astype(np.float64), places[is_nonzero]
    # Of few levels it is the repetition that tells.
    repeats = repeats[is_nonzero] if len(values) < GRID_VALUES else np.ones(len(values))
    return values, None if errors is None else errors[places].astype(np.float64), repeats


def _fits(
    values: Float[np.ndarray, " m"],
    allowed: Float[np.ndarray, " m"] | None,
    counts: Int[np.ndarray, " k"],
) -> Bool[np.ndarray, " k"]:
    """Return the numbers of levels that the values may have; that of the largest is no exact one."""
    steps = values[0] / counts[:, None]
    multiples = values / steps
    misses = np.abs(multiples - np.rint(multiples))
    if allowed is None:
        return misses.max(axis=1) <= 2 * GRID_TOLERANCE
    of_step = allowed[0] / values[0] * multiples
    return np.all(misses <= 2 * ARITHMETIC + of_step + allowed / steps, axis=1)


def _fit(
    values: Float[np.ndarray, " m"],
    allowed: Float[np.ndarray, " m"] | None,
    count: int,
    repeats: Num[np.ndarray, " m"],
) -> tuple[float, float] | None:
    """Return the step of which all values are multiples within their errors, and the logarithm of the
    chance of free ones; None if there is none."""
    step = values.max() / count
    for _ in range(2):
        multiples = np.rint(values / step)
        step = float(values @ multiples / max(multiples @ multiples, 1))
    multiples = np.rint(values / step)
    width = (
        np.full_like(values, GRID_TOLERANCE * step)
        if allowed is None
        else allowed + ARITHMETIC * step
    )
    is_counted = multiples > 0
    if (
        not is_counted.any()
        or multiples.max() > LEVELS
        or np.any(values > width, where=~is_counted)
    ):
        return None
    lowest = np.max((values - width)[is_counted] / multiples[is_counted])
    highest = np.min((values + width)[is_counted] / multiples[is_counted])
    if lowest > highest:
        return None
    chances = np.log(np.minimum(1.0, 2 * width / step))
    return (float(lowest) + float(highest)) / 2, float(chances @ repeats)


def _telling(rows: Rows) -> Bool[np.ndarray, " channels"] | None:
    """Rows of values enough; None if most have too few, or one is not finite."""
    telling = np.count_nonzero(rows, axis=1) >= CODE_VALUES
    is_enough = 2 * np.count_nonzero(telling) >= nonzero_rows(rows) and telling.any()
    return telling if is_enough and np.isfinite(rows).all() else None


def code_scale(row: Float[np.ndarray, " m"], code: str, name: str | None) -> float:
    """The scale of which a row holds values of a narrow type; 0 if there is none."""
    largest = float(np.abs(row).max())
    tops = _positive(code)
    relative = row / np.float32(largest)
    # The smallest values of float16 are multiples of 6e-8, whatever their size.
    least = half_unit(np.zeros(1, np.float32), name)[0] / largest if name else 0.0
    nonzero = relative[relative != 0]
    # A few values refute most grids in a tenth of the time of more.
    for values in (nonzero[:: max(1, len(nonzero) // FEW)], sample(relative)):
        tops = tops[_is_coded(values[None, :] * tops[:, None], code, least * tops[:, None])]
    for top in tops:
        if _is_coded((relative * top)[None], code, least * top)[0]:
            return largest / float(top)
    return 0.0


def code_spacing(values: Rows, code: str) -> Rows:
    """Return the distance of the value of a narrow type that each one is from the next larger one."""
    limits = ml_dtypes.finfo(numpy_dtype(code))
    rounded = values.astype(numpy_dtype(code)).astype(np.float32)
    # A significand in [0.5, 1) has the spacing of half its exponent's power.
    power = np.ldexp(np.float32(0.5), np.frexp(rounded)[1])
    return np.maximum(power * np.float32(limits.eps), np.float32(limits.smallest_subnormal))


def _is_coded(values: Float[np.ndarray, "k m"], code: str, least: Any) -> Bool[np.ndarray, " k"]:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = values.astype(numpy_dtype(code)).astype(np.float32)
        return np.all(np.abs(rounded - values) <= CODE_TOLERANCE * np.abs(values) + least, axis=1)


@functools.cache
def _positive(code: str) -> Float[np.ndarray, " k"]:
    """The positive finite values of an 8-bit type, the largest first."""
    values = np.arange(1, 128, dtype=np.uint8).view(numpy_dtype(code)).astype(np.float32)
    return np.sort(values[np.isfinite(values)])[::-1]
