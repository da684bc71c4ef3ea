"""Distance between neighboring values of a weight, given the grid or the type that holds them.

NumPy on the host. It is the unit in which a deployed network is off from the trained one.
"""

import math
from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float

from ._difference import half_unit, narrowest, numpy_dtype
from ._grid import CODE_VALUES, GRID_TOLERANCE, Grid, code_scale, code_spacing, row_steps

Weight = Float[np.ndarray, "out *rest"]
Rows = Float[np.ndarray, "channels m"]

FINE = 65536
"""Values of 16-bit integers."""

FINE_LEVELS = (FINE - 1, FINE - 2, FINE - 3, FINE)
"""Steps between the smallest and the largest value that are tried; converters move them to hold zero."""

FINE_VALUES = 32
"""Different values from which a weight tells whether it holds 16-bit integers."""

MOST_BITS = 8


class Steps(NamedTuple):
    """The type of the values of a weight, and the distance of each from its neighbor in that type.

    `storage` is a name such as "int8", "float16" or "float32". Steps are NaN in channels of zeros.
    """

    storage: str
    values: Float[np.ndarray, "out m"]


def steps(weight: Weight, lattice: Grid | None) -> Steps:
    """Return the type and the steps of a weight that lies on this grid, if on any.

    Without one they are those of the narrowest float that holds all values, or of 16-bit integers.
    Float32 has one step a channel, that of its largest value: sums and products are rounded so.
    """
    rows = weight.reshape(len(weight), -1)
    if lattice is not None:
        return _coded(rows, lattice) if lattice.code else _whole(rows, lattice)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    floor = np.broadcast_to(np.spacing(largest).astype(np.float64), rows.shape)
    name = narrowest(weight)
    if name is not None:
        return Steps(name, np.maximum(2 * half_unit(rows, name).astype(np.float64), floor))
    fine = _fine_step(rows)
    return Steps("float32", floor) if fine is None else Steps("int16", np.full(rows.shape, fine))


def _whole(rows: Rows, lattice: Grid) -> Steps:
    """Return the steps of whole multiples, with zero or with the smallest value of each row among them."""
    parts = rows if lattice.per_channel else rows.reshape(1, -1)
    name = narrowest(rows)
    errors = None if name is None else half_unit(parts, name) * np.float32(1.02)
    widths, levels = row_steps(parts, errors)
    bits = math.ceil(math.log2(lattice.levels + 1)) + 1
    if not levels.any():
        parts = parts - parts.min(axis=1, keepdims=True)
        widths, levels = row_steps(parts, None if errors is None else 2 * errors)
        bits -= 1
    # A row of few values tells no step by itself; it has the widest on which they lie.
    values = np.array(
        [
            width if level else _widest(part, lattice.levels)
            for part, width, level in zip(parts, widths, levels, strict=True)
        ],
        np.float64,
    )
    bits = min(max(bits, 2), MOST_BITS)
    return Steps(f"int{bits}", np.broadcast_to(values[:, None], rows.shape))


def _widest(row: Float[np.ndarray, " m"], levels: int) -> float:
    """The widest step of which the values of a row are whole multiples; NaN for a row of zeros."""
    values = np.abs(row[row != 0]).astype(np.float64)
    if not len(values):
        return math.nan
    for count in range(1, levels + 1):
        multiples = values * (count / values.max())
        if np.abs(multiples - np.round(multiples)).max() <= GRID_TOLERANCE:
            return float(values.max() / count)
    return float(values.max() / levels)


def _coded(rows: Rows, lattice: Grid) -> Steps:
    """Return the steps of values of a narrow floating-point type times a scale."""
    parts = rows if lattice.per_channel else rows.reshape(1, -1)
    name = narrowest(rows)
    scales = np.array(
        [
            code_scale(row, lattice.code, name) if np.count_nonzero(row) >= CODE_VALUES else 0.0
            for row in parts
        ],
        np.float32,
    )[:, None]
    scaled = np.divide(parts, scales, out=np.zeros_like(parts), where=scales > 0)
    relative = np.float32(ml_dtypes.finfo(numpy_dtype(lattice.code)).eps)
    # A row of few values tells no scale; the last place of its values is known without.
    spacing = np.where(
        scales > 0, code_spacing(scaled, lattice.code) * scales, relative * np.abs(parts)
    )
    return Steps(lattice.code, spacing.astype(np.float64).reshape(rows.shape))


def _fine_step(rows: Rows) -> float | None:
    """Return the step of 16-bit integers on which all values lie; None if they do not."""
    if not rows.size:
        return None
    low, high = float(rows.min()), float(rows.max())
    if not 0 < high - low < math.inf:
        return None
    sampled = rows.reshape(-1)[:: max(1, rows.size // 256)].astype(np.float64)
    widths = [(high - low) / count for count in FINE_LEVELS]
    widths.append(max(abs(low), abs(high)) / (FINE // 2 - 1))
    for width, origin in zip(widths, (*[low] * len(FINE_LEVELS), 0.0), strict=True):
        if _lies_on(sampled, width, origin) and _lies_on(rows.astype(np.float64), width, origin):
            return width if len(np.unique(rows)) >= FINE_VALUES else None
    return None


def _lies_on(values: Float[np.ndarray, "*s"], width: float, origin: float) -> bool:
    multiples = (values - origin) / width
    return bool(np.abs(multiples - np.rint(multiples)).max() <= GRID_TOLERANCE)
