"""Metrics of the moments of normalized kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Num

from ...statistics import Moments
from .._nulls import SamplingNull
from .._redeal import DealtSets
from ._metric import OtherRows, Reads, Rows, Space, SummedMetric

MomentComponents = Callable[[Moments, Moments, np.ndarray], np.ndarray]
MomentDraws = Callable[[np.random.Generator, Moments, tuple[float, float], int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class MomentMetric(SummedMetric):
    """A metric of moments; a row of features is count, sum and sum of outer products.

    **Arguments:**

    - `components`: what each of the orthonormal components adds, from the moments of both sets.
    - `draws`: values between samples of two sizes, both from the Gaussian of pooled moments.
    """

    components: MomentComponents
    draws: MomentDraws

    reads: ClassVar[Reads] = "moments"
    has_clean: ClassVar[bool] = False
    is_quick_to_draw: ClassVar[bool] = True

    def shares(self, space: Space, first: Rows, second: OtherRows) -> Float[np.ndarray, "r d"]:
        """Return what each component adds to the metric, for rows against rows."""
        a, b = moments_of_rows(first), moments_of_rows(second)
        return self.components(a, b, space.components)

    def sampling_null(
        self,
        rng: np.random.Generator,
        space: Space,
        pooled: Num[np.ndarray, " features"],
        sets: DealtSets,
        *,
        replicates: int = 200,
    ) -> SamplingNull:
        """Return the null of samples from the Gaussian of the pooled moments.

        Weighted sets count as so many kernels as have a mean of the same variance.
        """
        moments = Moments(*(leaf[0] for leaf in moments_of_rows(pooled[None])))
        values = self.draws(rng, moments, sets.effective, replicates)
        return SamplingNull(float(np.mean(values)), float(np.quantile(values, 0.95)))


def moments_of_rows(rows: Num[np.ndarray, "r features"]) -> Moments:
    """Return the moments behind rows of count, sum and sum of outer products, 1 + d + d * d long."""
    d = int((np.sqrt(4 * rows.shape[1] - 3) - 1) / 2)
    count = np.maximum(rows[:, 0], 1)
    mean = rows[:, 1 : d + 1] / count[:, None]
    outer = rows[:, d + 1 :].reshape(-1, d, d)
    return Moments(count, mean, outer - count[:, None, None] * mean[:, :, None] * mean[:, None, :])
