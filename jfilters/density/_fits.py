"""The result of a fit; imports no compiler until a density is taken out of it."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..statistics.internal import RealArray

FEWEST = 100
"""Kernels that a fit needs at least: with fewer nothing is left to train on and to judge by."""


class Fits(NamedTuple):
    """Densities fitted side by side; every array has a first axis of m.

    `held_out` marks the kernels that no density was trained on, the same places in every set. `log_prob` is
    that of the held-out kernels, in nats. `epochs` were run until the best held-out likelihood of each.
    """

    densities: Any  # a KernelDensity
    held_out: Bool[np.ndarray, " n"]
    log_prob: Float[RealArray, "m held"]
    epochs: Int[RealArray, " m"]

    def density(self, i: int) -> Any:
        """Return one of the densities, a `KernelDensity` without the first axis."""
        from ._density import one_of

        return one_of(self.densities, i)
