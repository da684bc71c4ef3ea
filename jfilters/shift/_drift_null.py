"""The sampling null of drift without drawing: mean, spread and 95 % quantile for any number of pairs.

Both histograms of a pair are dealt anew from their sum. Of the c kernels of a bin, k go to the first set,
and k is binomial to a close approximation. So the mean and the variance of that bin's term of drift are
sums over k, which depend on c and on the share of the first set alone and are tabulated.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from .._traced import on_host
from ._divergence import EMPTY_DENSITY
from ._nulls import SamplingNull

MANY = 100
"""Kernels of a bin expected in the smaller set, beyond which its term is a chi-square of one degree."""

DEPENDENT = 1.1
"""Variance of drift as a multiple of that of independent components, as made and real kernels show it.

Source: results/calibration/nulls.md; without it the quantile is passed in 5 to 7 % of draws.
"""

MANY_DEPEND = 1_000
"""Kernels of the smaller set from which on components that depend on each other show; of fewer, empty bins
make nearly all of the variance."""

_WINDOW = 220  # of those kernels, 12 standard deviations beyond `MANY`
_GRID = 1.05  # ratio of neighboring counts in a table
_STEP = 0.1  # of the logit of the smaller share, between tables
_NORMAL_95 = 1.6448536269514722


@on_host("compute the null once, outside of the program, and compare jf.drift with it inside")
def drift_null(
    pooled: Num[np.ndarray, "d bins"],
    sizes: tuple[int, int] | tuple[float, float],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> SamplingNull:
    """Return the sampling null of drift between two sets, in nats, from their pooled histogram.

    The mean and variance are those of `sampling_null`, and the 95 % quantile that of the gamma distribution
    of this mean and variance, a tenth more of it for many kernels. Runs on the host and draws nothing.

    Args:
        pooled: the histogram of both sets together.
        sizes: numbers of kernels of the two sets.
        variance_ratio: the weight of each component.
        edges: of the bins, at equal distances.

    Raises:
        ValueError: for sizes that are not positive.

    Source: derived for this project; docs/method.md, Sampling null.
    """
    if not min(sizes) > 0:
        raise ValueError(f"expected two sets of at least one kernel, got {sizes[0]} and {sizes[1]}")
    mean, variance = _moments(np.asarray(pooled, np.float64), sizes, variance_ratio, edges)
    spread = DEPENDENT if min(sizes) >= MANY_DEPEND else 1.0
    return SamplingNull(mean, _gamma_95(mean, spread * variance))


def _moments(
    pooled: Float[np.ndarray, "d bins"],
    sizes: tuple[int, int] | tuple[float, float],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> tuple[float, float]:
    total = float(sizes[0] + sizes[1])
    share = min(sizes) / total
    p = pooled / np.maximum(pooled.sum(axis=-1, keepdims=True), 1)
    # -log of the density of an empty bin, in units of one kernel of both sets.
    depth = -math.log(EMPTY_DENSITY * total * float(edges[1] - edges[0]))
    terms = _terms(pooled, share, depth) / np.array([total, total**2])[:, None, None]
    mean = float(variance_ratio @ np.sum((1 - p) * terms[0], axis=-1))
    # Bins b and c of one histogram share their kernels: their terms have a covariance of p_b p_c.
    shared = p * np.sqrt(terms[1])
    own = np.sum((1 - p) ** 2 * terms[1] - shared**2, axis=-1)
    variance = float(variance_ratio**2 @ (own + np.sum(shared, axis=-1) ** 2))
    return mean, variance


def _terms(
    counts: Float[np.ndarray, "d bins"], share: float, depth: float
) -> Float[np.ndarray, "2 d bins"]:
    """Return mean and variance of each bin's term, times the number of kernels and its square."""
    limit = 1 / share + 1 / (1 - share)
    log_counts, mean, square = _columns(share, depth)
    at = np.log(np.maximum(counts, 1))
    means, squares = np.interp(at, log_counts, mean), np.interp(at, log_counts, square)
    is_large = counts * share > MANY
    means = np.where(is_large, limit, np.where(counts > 0, means, 0))
    variances = np.where(
        is_large, 2 * limit**2, np.where(counts > 0, np.maximum(squares - means**2, 0), 0)
    )
    return np.stack([means, variances])


def _columns(share: float, depth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logarithms of counts, and the first two moments of a bin's term of each."""
    place = math.log(share / (1 - share)) / _STEP
    low = math.floor(place)
    near, far = _table(low), _table(low + 1)
    # Counts of both rise alike; the tables end where terms are known without them.
    log_counts = min(near.log_counts, far.log_counts, key=len)
    n, part = len(log_counts), place - low
    inner, edge, inner_2, both, edge_2 = (1 - part) * near.sums[:, :n] + part * far.sums[:, :n]
    return log_counts, inner + depth * edge, inner_2 + 2 * depth * both + depth**2 * edge_2


class _Table(NamedTuple):
    """Sums over k for a grid of counts: of a term and its square, split by powers of `depth`."""

    log_counts: Float[np.ndarray, " counts"]
    sums: Float[np.ndarray, "5 counts"]


@functools.lru_cache(maxsize=512)
def _table(key: int) -> _Table:
    share = 1 / (1 + math.exp(-key * _STEP))
    most = math.ceil(1.2 * MANY / min(share, 1 - share))
    steps = np.arange(math.ceil(math.log(most) / math.log(_GRID)) + 1)
    counts = np.unique(np.concatenate([np.arange(1, 65), np.rint(_GRID**steps)]))
    k = np.arange(_WINDOW + 1)[:, None]
    c = counts[None]
    weight, inner, edge = _binomial(k, c, share), _inner(k, c, share), _edge(k, c, share)
    sums = (inner, edge, inner**2, inner * edge, edge**2)
    return _Table(np.log(counts), np.stack([np.sum(weight * values, axis=0) for values in sums]))


def _inner(
    k: Num[np.ndarray, "k 1"], c: Num[np.ndarray, "1 counts"], share: float
) -> Float[np.ndarray, "k counts"]:
    """Return a bin's term without what the density of empty bins adds."""
    first, second = k / share, np.maximum(c - k, 0) / (1 - share)
    logs = np.log(np.where(first > 0, first, 1)) - np.log(np.where(second > 0, second, 1))
    return (first - second) * logs


def _edge(
    k: Num[np.ndarray, "k 1"], c: Num[np.ndarray, "1 counts"], share: float
) -> Float[np.ndarray, "k counts"]:
    """Return the factor of `depth` in a bin's term: where one of the sets has none of its kernels."""
    return np.where(k == 0, c / (1 - share), np.where(k == c, c / share, 0))


def _binomial(
    k: Num[np.ndarray, "k 1"], c: Num[np.ndarray, "1 counts"], share: float
) -> Float[np.ndarray, "k counts"]:
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(c.max()) + 1)))])
    n, j = c.astype(np.int64), np.minimum(k, c).astype(np.int64)
    log_choices = logs[n] - logs[j] - logs[n - j]
    weight = np.exp(log_choices + j * math.log(share) + (n - j) * math.log1p(-share))
    return np.where(k <= c, weight, 0)


def _gamma_95(mean: float, variance: float) -> float:
    """Return the 95 % quantile of the gamma distribution of a mean and variance.

    Within 1e-3 of the exact value; SciPy's takes a quarter of a second to import.

    Source: Wilson & Hilferty, "The distribution of chi-square", 1931.
    """
    if mean <= 0:
        return 0.0
    ninth = variance / mean**2 / 9
    return mean * (1 - ninth + _NORMAL_95 * math.sqrt(ninth)) ** 3
