"""Preparation of a layer's weight for the device: finite kernels, their scale, and counts of the others."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

# Outside this range float32 arithmetic on the device overflows or flushes to zero.
SMALLEST_SCALE, LARGEST_SCALE = 1e-30, 1e30

IN_CACHE = 1 << 17
"""Weights that fit into a core's cache, so that a second reduction need not read memory again."""

CENTER_KERNELS = 64
"""Evenly spaced kernels of a layer whose mean is near enough to that of all kernels."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The finite kernels of one layer times 2**exponent; `max_abs` is as stored, not scaled."""

    rows: Float[np.ndarray, "n d"]
    n_nonfinite: int
    max_abs: float
    exponent: int = 0

    @property
    def scale(self) -> float:
        """The divisor of `rows` on the device: their largest absolute value, 1 where that is zero."""
        return math.ldexp(self.max_abs, self.exponent) or 1.0

    def centers(self) -> Float[np.ndarray, "2 d"]:
        """Two points: near the normalized kernels, and near those divided by `scale`.

        They are means of `CENTER_KERNELS` kernels.
        """
        sample = self.rows[:: -(-len(self.rows) // CENTER_KERNELS) or 1]
        units = np.empty((2, len(sample)), np.float32)
        units[0] = np.abs(sample).max(axis=1, initial=SMALLEST_SCALE)
        units[1] = self.scale
        return (1 / units) @ sample / np.float32(max(len(sample), 1))


def prepare(
    weight: Float[np.ndarray, "out in *spatial"], *, largest: float | None = None
) -> Prepared:
    """Drop and count kernels with a NaN or an infinity; scale layers out of float32's safe range.

    `largest` is the largest absolute weight of a finite layer, from an earlier pass: it saves a reduction
    over all weights. None computes it.
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
    bounds = np.array([(part.max(), part.min()) for part in parts])
    return float(np.abs(bounds).max(initial=0.0))
