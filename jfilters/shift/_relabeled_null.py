"""Two nulls of the median over all pairs of an axis' groups: does the axis shift anything at all?

One test an axis, however many groups it has; `population_null` and `sampling_null` test one pair.
Permuted labels show what groups of other units make. They cannot show what few kernels make where a
group's units are the small ones, as first layers are: draws from one distribution show that.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from jaxtyping import Float, Integer, Num

from ._metric_functions import histogram_metric, histogram_space
from ._nulls import AxisNull, axis_null, pair_medians
from ._population_null import ONE_SPLIT
from ._unit_sums import unit_sums

_MEMBERS = 4_000_000  # labels of units at once, one hot: 16 MB in float32

Matrices = Callable[[np.ndarray], np.ndarray]
"""From the summed rows (sets, m, features) of m groups, the comparisons (sets, m, m) of all pairs."""


def relabeled_null(
    rng: np.random.Generator,
    rows: Num[np.ndarray, "units features"],
    side: Integer[np.ndarray, " units"],
    matrices: Matrices,
    *,
    strata: Integer[np.ndarray, " units"],
    permutations: int = 400,
) -> AxisNull:
    """Return the null of the median over all pairs of groups under permuted labels.

    p = (1 + #{relabeled >= observed}) / (1 + permutations).

    Units, each a row that adds up within its group, keep their stratum and change their labels
    `side` (0, 1, ...) for others of it. Exact if the units of a stratum are exchangeable.
    """
    if _fixed(side, strata):
        return AxisNull(None, None, None, ONE_SPLIT)
    labels = np.concatenate([side[None], _relabeled(rng, side, strata, permutations)])
    medians = _medians(rows, labels, matrices)
    return axis_null(float(medians[0]), medians[1:])


def redrawn_null(
    rng: np.random.Generator,
    name: str,
    sums: Float[np.ndarray, "m d bins"],
    sizes: Float[np.ndarray, " m"],
    variance_ratio: Float[np.ndarray, " d"],
    edges: Float[np.ndarray, " edges"],
    *,
    replicates: int = 400,
) -> AxisNull:
    """Return the null where all groups are drawn from their `sums` together, with their `sizes`.

    A parametric bootstrap of histograms, component by component, as `sampling_null` is. Runs on the
    host.

    **Arguments:**

    - `name`: a name of `METRICS` that reads histograms.
    - `sums`: the histogram of each group.
    - `sizes`: numbers of kernels; fractions are effective sizes.

    Raises ValueError for a name that is no metric of histograms.
    """
    space = histogram_space(variance_ratio, edges)
    rows = sums.reshape(len(sums), -1)
    null = histogram_metric(name).redrawn_null(rng, space, rows, sizes, replicates=replicates)
    return cast(AxisNull, null)


def _fixed(side: Integer[np.ndarray, " units"], strata: Integer[np.ndarray, " units"]) -> bool:
    """Return True where all relabelings are surely the same but for the names of groups."""
    if len(side) == len(np.unique(side)):
        return True
    return len(np.unique(np.stack([strata, side]), axis=1).T) == len(np.unique(strata))


def _relabeled(
    rng: np.random.Generator,
    side: Integer[np.ndarray, " units"],
    strata: Integer[np.ndarray, " units"],
    count: int,
) -> Integer[np.ndarray, "count units"]:
    """Permute the labels of each stratum among its units, `count` times."""
    _, index = np.unique(strata, return_inverse=True)
    order = np.argsort(index[None] + rng.random((count, len(side))), axis=1)
    labels = np.empty(order.shape, side.dtype)
    np.put_along_axis(labels, order, side[np.argsort(index, kind="stable")][None], axis=1)
    return labels


def _medians(
    rows: Num[np.ndarray, "units features"],
    labels: Integer[np.ndarray, "count units"],
    matrices: Matrices,
) -> Float[np.ndarray, " count"]:
    """Return the median over all pairs of groups for every labeling of the units."""
    groups, sums = np.arange(labels.max() + 1), unit_sums(rows)
    # One product for many labelings: BLAS copies all rows for each product, which takes far longer
    # than the sums of a few groups (15,000 layers, 2 groups, 400 labelings: 34 s against 1.5 s).
    batch = max(_MEMBERS // (len(groups) * len(rows)), 1)
    medians = []
    for start in range(0, len(labels), batch):
        members = labels[start : start + batch, None] == groups[:, None]
        of_groups = sums(members.reshape(-1, len(rows)))
        of_labelings = of_groups.reshape(-1, len(groups), rows.shape[1])
        medians.append(pair_medians(matrices(of_labelings)))
    return np.concatenate(medians)
