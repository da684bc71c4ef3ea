"""Frechet distance of the Gaussians of normalized moments."""

import numpy as np

from ...statistics import Moments
from .._frechet import frechet_components, frechet_null
from ._moment_metric import MomentMetric
from ._rates import SAMPLING


def _draws(
    rng: np.random.Generator, pooled: Moments, sizes: tuple[float, float], replicates: int
) -> np.ndarray:
    return frechet_null(rng, pooled, sizes, replicates=replicates)


FRECHET = MomentMetric(
    name="frechet",
    unit="squared coefficients",
    direction="0 is the same mean and covariance, larger is further apart",
    null=SAMPLING,
    components=frechet_components,
    draws=_draws,
)
