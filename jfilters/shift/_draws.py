"""Histograms drawn from a distribution of kernels, component by component."""

import numpy as np
from jaxtyping import Float, Integer, Num

_MANY = 1000  # kernels, of which the number may vary by its root: Poisson draws are far quicker


def shares_of(pooled: Num[np.ndarray, "d bins"]) -> Float[np.ndarray, "d bins"]:
    """Return the share of each component's kernels in each bin; zeros where there is no kernel."""
    return pooled / np.maximum(np.sum(pooled, axis=-1, keepdims=True), 1e-300)


def draw_histograms(
    rng: np.random.Generator, shares: Float[np.ndarray, "d bins"], size: float, replicates: int
) -> Integer[np.ndarray, "replicates d bins"]:
    """Draw histograms of `size` kernels, each component independently of the others."""
    if size >= _MANY:
        return rng.poisson(size * shares, size=(replicates, *shares.shape))
    count = max(round(size), 1)
    return np.stack([rng.multinomial(count, row, size=replicates) for row in shares], axis=1)
