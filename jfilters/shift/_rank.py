"""The rank of the change between two weights: that of a merged adapter is low.

NumPy on the host. The change is seen through a few random directions, so that its size hardly matters.
"""

import math

import numpy as np
from jaxtyping import Float

from ._difference import half_unit, narrowest

Weight = Float[np.ndarray, "out *rest"]

MOST_RANK = 128
"""The largest rank that is looked for, as of common adapters."""

LOW = 0.5
"""Share of the full rank up to which a rank is low."""

CLEAR = 10.0
"""Multiple of what rounding makes that the change has to exceed, for its rank to be told."""


def change_rank(a: Weight, b: Weight, seed: int = 0) -> int | None:
    """Return the rank of `b - a`, a matrix with one row an output channel; None if not low or clear.

    Changes within the rounding to the types of the two weights do not count. Runs on the host.
    """
    rows, other_rows = (x.reshape(len(x), -1) for x in (a, b))
    full = min(rows.shape)
    most = min(MOST_RANK, int(LOW * full))
    with np.errstate(invalid="ignore"):
        change = other_rows - rows
    if not most or not np.isfinite(change).all():
        return None
    directions = np.random.default_rng(seed).standard_normal((rows.shape[1], most + 1))
    projected = change @ directions.astype(np.float32)
    values = np.linalg.svd(projected, compute_uv=False)
    noise = math.hypot(_rounding_length(a), _rounding_length(b)) * math.sqrt(most + 1)
    rank = int(np.count_nonzero(values > noise))
    return rank if 0 < rank <= most and values[0] > CLEAR * noise else None


def _rounding_length(weight: Weight) -> float:
    """The Euclidean length of the most that rounding to the type of a weight may change."""
    name = narrowest(weight) or "float32"
    return float(np.linalg.norm(half_unit(weight, name).astype(np.float64)))
