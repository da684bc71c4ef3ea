"""Adjustment of p-values for the number of tests."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .._traced import on_host


@on_host("adjust p-values outside of the program")
def holm(p: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Adjust p-values for their number, so that the probability of any false alarm stays bounded.

    An adjusted value is at least the raw one and at most 1; the order of the tests is kept. Runs on
    the host.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted
