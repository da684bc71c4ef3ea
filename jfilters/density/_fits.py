"""The result of a fit; imports no compiler until a density is taken out of it."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..statistics.internal import RealArray

FEWEST = 100
"""Kernels that a fit needs at least: with fewer nothing is left to train on and to judge by."""


class Fits(NamedTuple):
    """Densities fitted side by side; every array has a first axis of m.

    `held_out` marks the kernels that are only scored, the same places in every set: no density was trained
    or stopped by them. `log_prob` is their log-density, in nats. `stopping` marks the kernels that chose
    the epoch; the others were trained on. `epochs` were run until the best of each, 0 where the start was.
    """

    densities: Any  # a KernelDensity
    held_out: Bool[np.ndarray, " n"]
    log_prob: Float[RealArray, "m held"]
    epochs: Int[RealArray, " m"]
    stopping: Bool[np.ndarray, " n"] | None = None

    def density(self, i: int) -> Any:
        """Return one of the densities, a `KernelDensity` without the first axis."""
        from ._density import one_of

        return one_of(self.densities, i)
