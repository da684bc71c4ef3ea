"""One layer's weight made ready for the device: finite kernels, their scale, and what was set aside."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

# Outside this range float32 arithmetic on the device overflows or flushes to zero.
SMALLEST_SCALE, LARGEST_SCALE = 1e-30, 1e30

IN_CACHE = 1 << 17
"""Weights that are read twice without going to memory again."""

A_FEW = 64
"""Kernels of a layer, evenly spaced, whose mean is near enough to that of all."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The finite kernels of one layer times 2**exponent; `max_abs` is as stored, not scaled."""

    rows: Float[np.ndarray, "n d"]
    n_nonfinite: int
    max_abs: float
    exponent: int = 0

    @property
    def scale(self) -> float:
        """What the device divides `rows` by: the largest absolute value in them, 1 where that is zero."""
        return math.ldexp(self.max_abs, self.exponent) or 1.0

    def centers(self) -> Float[np.ndarray, "2 d"]:
        """Points near the normalized kernels and near those divided by `scale`: the means of a few."""
        few = self.rows[:: -(-len(self.rows) // A_FEW) or 1]
        units = np.empty((2, len(few)), np.float32)
        units[0] = np.abs(few).max(axis=1, initial=SMALLEST_SCALE)
        units[1] = self.scale
        return (1 / units) @ few / np.float32(max(len(few), 1))


def prepare(
    weight: Float[np.ndarray, "out in *spatial"], *, largest: float | None = None
) -> Prepared:
    """Drop and count kernels with a NaN or an infinity; bring extreme layers into range.

    `largest`: the largest absolute weight of a layer that is known to be finite.
    """
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    largest = _max_abs(rows) if largest is None else largest
    n_nonfinite = 0
    if not math.isfinite(largest):
        finite = np.isfinite(rows).all(axis=1)
        n_nonfinite = int((~finite).sum())
        rows = rows[finite]
        largest = _max_abs(rows)
    if largest == 0 or SMALLEST_SCALE < largest < LARGEST_SCALE:
        return Prepared(rows, n_nonfinite, largest)
    exponent = -math.frexp(largest)[1]
    # In two steps: 2**exponent alone may leave float32.
    scaled = np.ldexp(np.ldexp(rows, exponent // 2), exponent - exponent // 2)
    return Prepared(scaled, n_nonfinite, largest, exponent)


def _max_abs(rows: Float[np.ndarray, "n d"]) -> float:
    flat = rows.reshape(-1)
    parts = (flat[i : i + IN_CACHE] for i in range(0, flat.size, IN_CACHE))
    # Two reductions without a temporary are faster than abs; NumPy's carry a NaN through.
    ends = np.array([(part.max(), part.min()) for part in parts])
    return float(np.abs(ends).max(initial=0.0))
