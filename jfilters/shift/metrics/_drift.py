"""Drift, the metric of METHOD, with faster forms: permutations take it by the million."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from .._divergence import EMPTY_DENSITY, drift_matrix
from .._drift_null import drift_null
from .._nulls import SamplingNull
from .._redeal import DealtSets
from ._histogram_metric import ByComponent, HistogramMetric, Probabilities
from ._metric import Space, Statistic
from ._rates import SAMPLING

_CACHED = 50_000  # counts at once: their densities and logarithms stay in the processor's cache


def drift(p: Probabilities, q: Probabilities, edges: np.ndarray) -> ByComponent:
    """Return `drift_components` without weights, and with one logarithm, in nats."""
    return np.sum((p - q) * np.log(p / q), axis=-1)


@dataclass(frozen=True, kw_only=True)
class _Drift(HistogramMetric):
    """Drift with the forms that only it has."""

    def pairs(
        self,
        probabilities: Float[np.ndarray, "m d bins"],
        variance_ratio: Float[np.ndarray, " d"],
        edges: Float[np.ndarray, " edges"],
    ) -> Float[np.ndarray, "m m"]:
        """Return `drift_matrix`: all pairs through one matrix product."""
        return drift_matrix(probabilities, variance_ratio)

    def matrices(
        self, space: Space, sums: Num[np.ndarray, "sets m features"]
    ) -> Float[np.ndarray, "sets m m"]:
        """Return `drift_matrix` of every set of rows, from unnormalized densities as `statistic`."""
        batch = max(_CACHED // sums[0].size, 1)
        batches = (sums[start : start + batch] for start in range(0, len(sums), batch))
        return np.concatenate([_matrices(space, rows.astype(np.float64)) for rows in batches])

    def known_null(
        self, space: Space, pooled: Num[np.ndarray, " features"], sets: DealtSets
    ) -> SamplingNull | None:
        """Return `drift_null`; None for weighted sets."""
        if sets.is_weighted:
            return None
        histogram = pooled.reshape(len(space.variance_ratio), -1)
        return drift_null(histogram, sets.sides, space.variance_ratio, space.edges)

    def statistic(self, space: Space) -> Statistic:
        """Return drift of unnormalized densities: half the time.

        The constants that make densities x, y sum to 1 leave the logarithm, as sum (p - q) = 0:
        D = sum_b (x / sum x - y / sum y) ln(x / y).
        """
        d, widths = len(space.variance_ratio), np.diff(space.edges)

        def statistic(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            x, y = (_densities(sums.reshape(len(sums), d, -1), widths) for sums in (first, second))
            logs = x / y
            np.log(logs, out=logs)
            forward = np.einsum("rdb,rdb->rd", x, logs) / x.sum(axis=-1)
            backward = np.einsum("rdb,rdb->rd", y, logs) / y.sum(axis=-1)
            return np.maximum(forward - backward, 0) @ space.variance_ratio

        return statistic


def _matrices(
    space: Space, sums: Num[np.ndarray, "sets m features"]
) -> Float[np.ndarray, "sets m m"]:
    bins = len(space.edges) - 1
    densities = _densities(sums.reshape(-1, len(space.variance_ratio), bins), np.diff(space.edges))
    weights = space.variance_ratio / densities.sum(axis=-1)
    logs = np.log(densities).reshape(sums.shape)
    densities *= weights[..., None]
    # D_ij = self_i + self_j - cross_ij - cross_ji.
    cross = densities.reshape(sums.shape) @ logs.swapaxes(1, 2)
    own = np.diagonal(cross, axis1=1, axis2=2)
    return np.maximum(own[:, :, None] + own[:, None] - (cross + cross.swapaxes(1, 2)), 0)


def _densities(
    counts: Num[np.ndarray, "r d bins"], widths: Float[np.ndarray, " bins"]
) -> Float[np.ndarray, "r d bins"]:
    densities = counts / widths
    densities /= np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    np.copyto(densities, EMPTY_DENSITY, where=counts <= 0)
    return densities


DRIFT = _Drift(
    name="drift",
    unit="nats",
    direction="0 is the same, larger is more different, no bound; the sum of both KL directions",
    null=SAMPLING,
    components=drift,
)
