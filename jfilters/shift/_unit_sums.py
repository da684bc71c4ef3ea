"""Sums of the rows of units over many choices of units at once, as permutations need them."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Num

_EXACT = 2.0**24  # float32 holds all whole numbers below without a gap

UnitSums = Callable[[np.ndarray], np.ndarray]
"""From choices of units (choices, units), the sums of their rows (choices, features)."""


def unit_sums(rows: Num[np.ndarray, "units features"]) -> UnitSums:
    """Return the function that adds up the rows of chosen units, by one matrix product.

    Integers are added in float32 if that is exact, which takes half the time of float64. Features that
    are 0 in all units stay out of the product: a quarter of the bins of a common scan.
    """
    full = rows.any(axis=0)
    is_whole = np.issubdtype(rows.dtype, np.integer)
    is_exact = is_whole and (np.abs(rows).sum(axis=0) < _EXACT).all()
    columns = rows.astype(np.float32 if is_exact else np.float64)[:, full]

    def sums(chosen: Bool[np.ndarray, "choices units"]) -> Float[np.ndarray, "choices features"]:
        result = np.zeros((len(chosen), rows.shape[1]))
        result[:, full] = chosen.astype(columns.dtype) @ columns
        return result

    return sums
