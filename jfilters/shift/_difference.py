"""How one weight differs from another of its shape, and what of that rounding, a grid or zeros explain.

NumPy on the host; every function takes float32 weights as they were read.
"""

from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float

Weight = Float[np.ndarray, "out *rest"]

NARROW = ("float8_e5m2", "float8_e4m3fn", "bfloat16", "float16")
"""Storage types whose rounding is recognized, by rising precision: a coarser one fits a finer one too."""

LEVELS = 255
"""Steps from zero to the largest weight on the finest grid that counts as quantized, of 8 bits."""

GRID_TOLERANCE = 0.07
"""Steps by which a value may miss its grid: half a float16 unit at 127 steps, for stored products."""

GRID_VALUES = 9
"""Nonzero values from which a channel tells a grid: 8 free ones fit one of 255 by chance once in 10^4."""

_HALF_STEP = 0.51
_SAMPLED = 512


class Difference(NamedTuple):
    """Two weights of one shape, value by value.

    `n` values, of which `changed` differ; `norm` and `distance` are the Euclidean lengths of the first
    weight and of the change. `zeroed_first` counts values that are zero in the first alone, and
    `zeroed_second` likewise; `altered` those that differ and are zero in neither.
    """

    n: int
    changed: int
    norm: float
    distance: float
    zeroed_first: int
    zeroed_second: int

    @property
    def altered(self) -> int:
        """Values that differ though neither is zero."""
        return self.changed - self.zeroed_first - self.zeroed_second


class Grid(NamedTuple):
    """Values that are whole multiples of a step: the most `levels` from zero to the largest.

    `near` is the share of the other weight's values that lie within half a step.
    """

    levels: int
    per_channel: bool
    near: float


def difference(a: Weight, b: Weight) -> Difference:
    """Count and measure how `b` differs from `a`; not finite values differ, and have no length."""
    with np.errstate(all="ignore"):
        change = b - a
    finite = np.isfinite(change)
    change = change if finite.all() else np.where(finite, change, 0)
    return Difference(
        n=a.size,
        changed=int(np.count_nonzero(a != b)),
        norm=_norm(a),
        distance=_norm(change),
        zeroed_first=int(np.count_nonzero((a == 0) & (b != 0))),
        zeroed_second=int(np.count_nonzero((b == 0) & (a != 0))),
    )


def rounding(a: Weight, b: Weight) -> str | None:
    """The storage type whose rounding explains every difference between `a` and `b`; None if none does.

    "" where there is no difference. Either weight, or both, may be the rounded one.
    """
    if np.array_equal(a, b):
        return ""
    types = (narrowest(a), narrowest(b))
    if types == (None, None):
        return None
    allowed = sum(_half_unit(x, t) for x, t in zip((a, b), types, strict=True) if t)
    with np.errstate(invalid="ignore"):
        is_explained = bool(np.all((a == b) | (np.abs(a - b) <= allowed)))
    return " and ".join(dict.fromkeys(t for t in types if t)) if is_explained else None


def narrowest(weight: Weight) -> str | None:
    """The first type of `NARROW` that holds every value exactly; None where float32 is needed."""
    sample = _sample(weight.reshape(-1))
    for name in NARROW:
        if _holds(name, sample) and _holds(name, weight):
            return name
    return None


def grid(weight: Weight, other: Weight) -> Grid | None:
    """The grid of at most 8 bits that the values of `weight` lie on; None if there is none.

    Of the whole weight, or of each output channel by itself. A grid holds zero, so that its step is the
    largest value divided by a whole number; `other` is what may have been rounded to it.
    """
    rows, others = (x.reshape(len(x), -1) for x in (weight, other))
    for per_channel in (False, True):
        kept = rows if per_channel else rows.reshape(1, -1)
        levels = _levels(kept)
        if levels is None:
            continue
        steps = (np.abs(kept).max(axis=1) / np.maximum(levels, 1))[:, None]
        near = np.abs(others.reshape(kept.shape) - kept) <= _HALF_STEP * steps
        known = levels > 0
        return Grid(int(levels.max()), per_channel, float(np.mean(near[known])))
    return None


def _levels(rows: Float[np.ndarray, "channels m"]) -> np.ndarray | None:
    """Levels of each row's grid, 0 where the row cannot tell; None unless all rows that can have one."""
    telling = np.count_nonzero(rows, axis=1) >= GRID_VALUES
    levels = np.zeros(len(rows), np.int64)
    if 2 * np.count_nonzero(telling) < len(rows) or not np.isfinite(rows).all():
        return None
    for index in np.flatnonzero(telling):
        levels[index] = _row_levels(rows[index])
        if not levels[index]:
            return None
    return levels


def _row_levels(row: Float[np.ndarray, " m"]) -> int:
    relative = row / np.abs(row).max()
    counts = np.arange(1, LEVELS + 1, dtype=np.float32)
    fits = _misses(_sample(relative)[None, :] * counts[:, None]) <= GRID_TOLERANCE
    for count in counts[fits]:
        if _misses((relative * count)[None])[0] <= GRID_TOLERANCE:
            return int(count)
    return 0


def _misses(multiples: Float[np.ndarray, "k m"]) -> Float[np.ndarray, " k"]:
    return np.abs(multiples - np.rint(multiples)).max(axis=1)


def _holds(name: str, values: Float[np.ndarray, "*s"]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.array_equal(values.astype(_dtype(name)).astype(np.float32), values))


def _half_unit(values: Weight, name: str) -> Float[np.ndarray, "out *rest"]:
    limits = ml_dtypes.finfo(_dtype(name))
    relative, smallest = (np.float32(x) / 2 for x in (limits.eps, limits.smallest_subnormal))
    return relative * np.abs(values) + smallest


def _dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def _sample(values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
    return values[:: max(1, len(values) // _SAMPLED)]


def _norm(values: Weight) -> float:
    flat = values.reshape(-1)
    return float(np.sqrt(np.einsum("i,i->", flat, flat, dtype=np.float64)))
