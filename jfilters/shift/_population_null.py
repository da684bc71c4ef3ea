"""The population null: how often a random split of whole units gives a value as large.

Every unit, a model or a layer, stays whole and is permuted between the groups, because kernels of
one model are not independent draws. The sampling null answers another question: how large a number
two samples of one histogram show.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Integer, Num

from ._nulls import AS_LARGE, PopulationNull
from ._unit_sums import unit_sums
from .metrics import Statistic

ONE_SPLIT = "one model against one: there is no other way to split them"
NO_SPLIT = "nothing may change sides: no two that match lie in different groups"
_BATCH = 256  # relabellings at once: both groups' histograms stay in the cache
_ROUNDING = 1e-13  # of a sum; fewer than one kernel of all there are


def population_null(
    rng: np.random.Generator,
    rows: Num[np.ndarray, "units features"],
    in_first: Bool[np.ndarray, " units"],
    statistic: Statistic,
    *,
    strata: Integer[np.ndarray, " units"] | None = None,
    permutations: int = 1000,
) -> PopulationNull:
    """Return the p-value of two groups of whole units under permuted labels.

    p = (1 + #{permuted >= observed}) / (1 + permutations). Runs on the host. Units, each a row that
    adds up within its group, are permuted between two groups of the sizes observed.
    Exact under the null that the units of this pair are exchangeable, whatever the other groups are.
    Where there are no more than `permutations` distinct splits every one of them is tried, the
    observed one among them, and p is the share that is as large.

    **Arguments:**

    - `strata`: units are exchanged only with those of the same number. For groups that divide one
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
    values_of = _values_of(rows, statistic)
    observed, values = values_of(in_first[None])[0], values_of(labels)
    extreme = _as_large(values, observed)
    if exact:
        least = _as_large(values, np.max(values))
        return PopulationNull(extreme / splits, least / splits, True)
    return PopulationNull((1 + extreme) / (1 + permutations), 1 / (1 + permutations), False)


def _as_large(values: Float[np.ndarray, " count"], bound: float) -> int:
    return int(np.sum(values >= bound * AS_LARGE))


def _stratum_sizes(
    in_first: Bool[np.ndarray, " units"], strata: Integer[np.ndarray, " units"]
) -> list[tuple[int, int]]:
    """Return, for each stratum in order, the numbers of units in the first and in the second group."""
    _, index = np.unique(strata, return_inverse=True)
    first = np.bincount(index, in_first).astype(int)
    return list(zip(first.tolist(), (np.bincount(index) - first).tolist(), strict=True))


def _labels(
    rng: np.random.Generator,
    sizes: list[tuple[int, int]],
    strata: Integer[np.ndarray, " units"],
    count: int,
) -> Bool[np.ndarray, "count units"]:
    """Return random splits: in each stratum, the first group's number of units goes to the first group."""
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
    """Return every distinct split, once."""
    order = np.argsort(strata, kind="stable")
    starts = np.cumsum([0, *(a + b for a, b in sizes)])
    choices = (
        itertools.combinations(order[start : start + a + b].tolist(), a)
        for start, (a, b) in zip(starts, sizes, strict=False)
    )
    splits = [list(itertools.chain(*choice)) for choice in itertools.product(*choices)]
    labels = np.zeros((len(splits), len(strata)), bool)
    for row, split in zip(labels, splits, strict=True):
        row[split] = True
    return labels


def _values_of(
    rows: Num[np.ndarray, "units features"], statistic: Statistic
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from splits (count, units) to the statistic of both groups of each."""
    total, sums = np.sum(rows, axis=0), unit_sums(rows)

    def values_of(labels: Bool[np.ndarray, "count units"]) -> Float[np.ndarray, " count"]:
        batches = (labels[start : start + _BATCH] for start in range(0, len(labels), _BATCH))
        firsts = (sums(batch) for batch in batches)
        return np.concatenate([statistic(first, _remainder(total, first)) for first in firsts])

    return values_of


def _remainder(
    total: Num[np.ndarray, " features"], first: Float[np.ndarray, "count features"]
) -> Float[np.ndarray, "count features"]:
    """Return the sums of the units that are not in `first`."""
    second = total[None] - first
    # What a difference leaves of nothing: an empty bin has to stay empty.
    second[np.abs(second) <= _ROUNDING * np.abs(total)[None]] = 0
    return second
