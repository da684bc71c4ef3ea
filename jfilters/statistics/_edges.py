"""The edges of histogram bins that depend on no data, so that scans of different days compare."""

import numpy as np
from jaxtyping import Float

from .._traced import on_host


@on_host("d and bins are shapes, which are static")
def fixed_edges(d: int, bins: int = 70) -> Float[np.ndarray, " edges"]:
    """The data-free range of METHOD, +-1.1 sqrt(d), as `bins` + 1 equally spaced edges.

    A normalized kernel is no longer than sqrt(d), so neither is a coefficient, unless the mean is
    extreme. In units of a coefficient. Raises ValueError for `d` or `bins` below 1.

    Source: derived for this project.
    """
    if d < 1 or bins < 1:
        raise ValueError(f"expected d and bins of at least 1, got d = {d} and bins = {bins}")
    limit = 1.1 * float(np.sqrt(d))
    return np.linspace(-limit, limit, bins + 1)
