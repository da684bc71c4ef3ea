"""Is a difference more than chance: what sampling alone makes, and what a random split of models makes.

Two nulls that answer two questions. The sampling null draws both sets from one histogram: it says
how large a number is that means nothing. The population null keeps every unit, a model or a layer,
whole and deals the units to the groups anew: kernels of one model are not independent draws.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from ._divergence import EMPTY_DENSITY, probability
from ._metrics import components_of
from ._null_level import null_level

AS_LARGE = 1 - 1e-9
"""Of a value: what gives the same groups gives the same value but rounding."""
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the summed rows (r, features) of two groups, r values."""

ONE_SPLIT = "one model against one: there is no other way to split them"
NO_SPLIT = "nothing may change sides: no two that match lie in different groups"
_MANY = 1000  # kernels, of which the number may vary by its root: Poisson draws are far quicker
_BATCH = 256  # relabellings at once: both groups' histograms stay in the cache
_ROUNDING = 1e-13  # of a sum; fewer than one kernel of all there are


@dataclass(frozen=True)
class SamplingNull:
    """What a metric shows between two samples of one distribution."""

    mean: float
    quantile95: float


@dataclass(frozen=True)
class PopulationNull:
    """How often a random split gives a value as large as the observed one.

    `p` is None, with the `reason`, where there is only one way to split but for the order of both
    groups. `smallest` is the least p that these units allow; `exact` says that all splits were tried.
    """

    p: float | None
    smallest: float
    exact: bool
    reason: str | None = None


def sampling_null(
    rng: np.random.Generator,
    name: str,
    pooled: Float[np.ndarray, "d bins"],
    sizes: tuple[float, float],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
    *,
    replicates: int = 200,
) -> SamplingNull:
    """A metric of histograms between samples of `sizes` kernels, both drawn from the `pooled` histogram.

    A parametric bootstrap, one multinomial draw a component and replicate, by independent Poisson
    counts where kernels are many. Components are drawn
    independently, which leaves the mean as it is and narrows the spread a little where they depend
    on each other. For large sizes the mean of drift is `null_level`.
    """
    compare = components_of(name)
    shares = pooled / np.maximum(np.sum(pooled, axis=-1, keepdims=True), 1e-300)
    first, second = (drawn(rng, shares, size, replicates) for size in sizes)
    by_component = compare(probability(first, edges), probability(second, edges), edges)
    values = by_component @ variance_ratio
    return SamplingNull(float(np.mean(values)), float(np.quantile(values, 0.95)))


def large_sample_null(
    sizes: tuple[float, float],
    pooled: Float[np.ndarray, "d bins"],
    variance_ratio: Float[np.ndarray, " d"],
) -> SamplingNull:
    """What `sampling_null` of drift goes to for large sizes, without drawing: `null_level` and its spread.

    n m / (n + m) D is a weighted sum of chi-squares, one a component; its quantile is that of the
    scaled chi-square of the same mean and variance.

    Source: Satterthwaite, "An approximate distribution of estimates of variance components", 1946.
    """
    from scipy.special import gammaincinv  # 0.25 s, which only many pairs pay for

    occupied = np.count_nonzero(pooled, axis=-1)
    mean = null_level(*sizes, occupied, variance_ratio)
    freedom = np.maximum(occupied - 1, 0)
    variance = 2 * float(np.sum(variance_ratio**2 * freedom))
    if mean == 0:
        return SamplingNull(0.0, 0.0)
    half_freedom = float(variance_ratio @ freedom) ** 2 / variance
    return SamplingNull(mean, mean * float(gammaincinv(half_freedom, 0.95)) / half_freedom)


def population_null(
    rng: np.random.Generator,
    rows: Float[np.ndarray, "units features"],
    in_first: Bool[np.ndarray, " units"],
    statistic: Statistic,
    *,
    strata: Integer[np.ndarray, " units"] | None = None,
    permutations: int = 1000,
) -> PopulationNull:
    """p = (1 + #{permuted >= observed}) / (1 + permutations) for two groups of whole units.

    Units, each a row that adds up within its group, are dealt to two groups of the sizes observed.
    Exact under the null that the units of this pair are exchangeable, whatever the other groups are.
    Where there are no more than `permutations` distinct splits every one of them is tried, the
    observed one among them, and p is the share that is as large.

    **Arguments:**

    - `strata`: units are dealt only among those of the same number. For groups that divide one
      model's layers: layers as units, their models as strata, exact if the layers of each model
      are exchangeable between the two groups.
    """
    strata = np.zeros(len(rows), np.int64) if strata is None else strata
    sizes = _stratum_sizes(in_first, strata)
    splits = math.prod(math.comb(a + b, a) for a, b in sizes)
    if splits < 2 or sizes == [(1, 1)]:
        return PopulationNull(None, 1.0, True, NO_SPLIT if len(sizes) > 1 else ONE_SPLIT)
    exact = splits <= permutations
    labels = _all_labels(sizes, strata) if exact else _labels(rng, sizes, strata, permutations)
    observed = _values(rows, in_first[None], statistic)[0]
    values = _values(rows, labels, statistic)
    extreme = _as_large(values, observed)
    if exact:
        least = _as_large(values, np.max(values))
        return PopulationNull(extreme / splits, least / splits, True)
    return PopulationNull((1 + extreme) / (1 + permutations), 1 / (1 + permutations), False)


def histogram_statistic(
    name: str,
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
) -> Statistic:
    """A metric of histograms as a function of flattened histogram rows (r, d * bins)."""
    if name == "drift":
        return _drift_statistic(variance_ratio, edges)
    compare, d = components_of(name), len(variance_ratio)

    def statistic(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        p, q = (probability(rows.reshape(len(rows), d, -1), edges) for rows in (first, second))
        return compare(p, q, edges) @ variance_ratio

    return statistic


def holm(p: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """p-values adjusted for their number: the chance of one false alarm among all is kept.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def _drift_statistic(
    variance_ratio: Float[np.ndarray, " d"], edges: Float[np.ndarray, " edges"]
) -> Statistic:
    """`drift` of unnormalized densities: half the time, and it is taken millions of times.

    The constants that make densities x, y sum to 1 leave the logarithm, as sum (p - q) = 0:
    D = sum_b (x / sum x - y / sum y) ln(x / y).
    """
    d, widths = len(variance_ratio), np.diff(edges)

    def densities(sums: np.ndarray) -> np.ndarray:
        counts = sums.reshape(len(sums), d, -1)
        dense = counts / widths
        dense /= np.maximum(counts.sum(axis=-1, keepdims=True), 1)
        np.copyto(dense, EMPTY_DENSITY, where=counts <= 0)
        return dense

    def statistic(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        x, y = densities(first), densities(second)
        logs = x / y
        np.log(logs, out=logs)
        forward = np.einsum("rdb,rdb->rd", x, logs) / x.sum(axis=-1)
        backward = np.einsum("rdb,rdb->rd", y, logs) / y.sum(axis=-1)
        return np.maximum(forward - backward, 0) @ variance_ratio

    return statistic


def drawn(
    rng: np.random.Generator, shares: Float[np.ndarray, "d bins"], size: float, replicates: int
) -> Integer[np.ndarray, "replicates d bins"]:
    """Histograms of `size` kernels, component by component."""
    if size >= _MANY:
        return rng.poisson(size * shares, size=(replicates, *shares.shape))
    count = max(round(size), 1)
    return np.stack([rng.multinomial(count, row, size=replicates) for row in shares], axis=1)


def _as_large(values: Float[np.ndarray, " count"], bound: float) -> int:
    return int(np.sum(values >= bound * AS_LARGE))


def _stratum_sizes(
    in_first: Bool[np.ndarray, " units"], strata: Integer[np.ndarray, " units"]
) -> list[tuple[int, int]]:
    """For each stratum, in their order, the numbers of units in the first and in the second group."""
    _, index = np.unique(strata, return_inverse=True)
    first = np.bincount(index, in_first).astype(int)
    return list(zip(first.tolist(), (np.bincount(index) - first).tolist(), strict=True))


def _labels(
    rng: np.random.Generator,
    sizes: list[tuple[int, int]],
    strata: Integer[np.ndarray, " units"],
    count: int,
) -> Bool[np.ndarray, "count units"]:
    """Random splits: in each stratum, the first group's number of units goes to the first group."""
    _, index = np.unique(strata, return_inverse=True)
    # Units by stratum and in random order within each; then the first of every stratum are taken.
    order = np.argsort(index[None] + rng.random((count, len(strata))), axis=1)
    template = np.concatenate([np.arange(a + b) < a for a, b in sizes])
    labels = np.empty(order.shape, bool)
    np.put_along_axis(labels, order, template[None], axis=1)
    return labels


def _all_labels(
    sizes: list[tuple[int, int]], strata: Integer[np.ndarray, " units"]
) -> Bool[np.ndarray, "splits units"]:
    """Every distinct split, once."""
    order = np.argsort(strata, kind="stable")
    starts = np.cumsum([0, *(a + b for a, b in sizes)])
    choices = (
        itertools.combinations(order[start : start + a + b].tolist(), a)
        for start, (a, b) in zip(starts, sizes, strict=False)
    )
    splits = [list(itertools.chain(*chosen)) for chosen in itertools.product(*choices)]
    labels = np.zeros((len(splits), len(strata)), bool)
    for row, chosen in zip(labels, splits, strict=True):
        row[chosen] = True
    return labels


def _values(
    rows: Float[np.ndarray, "units features"],
    labels: Bool[np.ndarray, "count units"],
    statistic: Statistic,
) -> Float[np.ndarray, " count"]:
    total = np.sum(rows, axis=0)
    batches = (labels[start : start + _BATCH] for start in range(0, len(labels), _BATCH))
    return np.concatenate([statistic(*_sums(rows, total, batch)) for batch in batches])


def _sums(
    rows: Float[np.ndarray, "units features"],
    total: Float[np.ndarray, " features"],
    labels: Bool[np.ndarray, "count units"],
) -> tuple[Float[np.ndarray, "count features"], Float[np.ndarray, "count features"]]:
    first = labels.astype(np.float64) @ rows
    second = total[None] - first
    # What a difference leaves of nothing: an empty bin has to stay empty.
    second[np.abs(second) <= _ROUNDING * np.abs(total)[None]] = 0
    return first, second
