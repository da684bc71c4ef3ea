"""Parts of a test: the kernels of each unit in each group, as histograms.

A unit is what was trained by itself: a network, all checkpoints of a run, or a family of kin. Units are
what a test exchanges, so that kin are never taken for independent networks.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, Integer, Num

from ._labelings import is_varying
from ._thinning import common_size, dealt_counts, shares

RIDGE = 0.1
"""Of the mean share of a bin: bounds what a bin of few kernels counts in a test."""


class Parts(NamedTuple):
    """Histograms of parts, with the unit, the group and the stratum of each, from 0.

    Units of one group are permuted among those of their stratum alone.
    """

    counts: Num[np.ndarray, "parts d bins"]
    unit: Int64[np.ndarray, " parts"]
    group: Int64[np.ndarray, " parts"]
    strata: Int64[np.ndarray, " parts"]

    def only(self, places: np.ndarray) -> "Parts":
        """Select parts by places or a mask."""
        return Parts(*(field[places] for field in self))


def parts_of(
    counts: Integer[np.ndarray, "rows d bins"],
    unit: Int64[np.ndarray, " layers"],
    group: Int64[np.ndarray, " layers"],
    strata: Int64[np.ndarray, " layers"] | None = None,
    rows: Int64[np.ndarray, " layers"] | None = None,
) -> Parts:
    """Return the sum of the histograms of the layers of each unit in each group; empty sums stay out.

    `rows` are the places of the layers in `counts`, of which no copy is made; all in order without it.
    """
    rows = np.arange(len(unit)) if rows is None else rows
    strata = np.zeros(len(unit), np.int64) if strata is None else strata
    order = np.lexsort((group, unit))
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1) | np.diff(group[order], prepend=-1))
    sums = np.zeros((len(starts), *counts.shape[1:]), np.int64)
    # One sum a part: np.add.at takes ten times as long.
    for part, layers in enumerate(np.split(order, starts[1:])):
        sums[part] = counts[rows[layers]].sum(axis=0)
    first = order[starts]
    numbers = (x[first].astype(np.int64) for x in (unit, group, strata))
    parts = Parts(sums, *numbers)
    return parts.only(sizes_of(parts) > 0)


def sizes_of(parts: Parts) -> Int64[np.ndarray, " parts"]:
    """Return the number of kernels of each part."""
    return parts.counts[:, 0].sum(axis=-1, dtype=np.int64)


def features(
    counts: Num[np.ndarray, "parts d bins"],
    variance_ratio: Float[np.ndarray, " d"],
    *,
    ridge: float = RIDGE,
) -> Float[np.ndarray, "parts features"]:
    """Return rows whose squared distance is drift to second order.

    x = p sqrt(a / (s + ridge / bins)), with the share p of a part's kernels in a bin and the share s of all
    kernels of the test. The mean of shares in place of s would follow the noise of small parts.
    """
    pooled = shares(counts.sum(axis=0))
    scale = np.sqrt(variance_ratio[:, None] / (pooled + ridge / counts.shape[-1]))
    rows = (shares(counts) * scale).reshape(len(counts), -1)
    return rows[:, pooled.reshape(-1) > 0]


def thinned(
    rng: np.random.Generator, parts: Parts, variance_ratio: Float[np.ndarray, " d"]
) -> tuple[Parts, int]:
    """Return parts of equally many kernels, drawn once without replacement, and that number.

    Parts of fewer kernels stay out. One draw alone is exchangeable: the mean over several keeps more of
    the noise of small parts than of large ones.
    """
    size = _common_size(parts, variance_ratio)
    large = parts.only(sizes_of(parts) >= size)
    return large._replace(counts=dealt_counts(rng, large.counts, size)), size


def _common_size(parts: Parts, variance_ratio: Float[np.ndarray, " d"]) -> int:
    sizes, rows = sizes_of(parts), features(parts.counts, variance_ratio)
    apart = np.sum(np.square(rows - rows.mean(axis=0))) / max(len(rows) - 1, 1)
    pooled = shares(parts.counts.sum(axis=0))
    noise = pooled * (1 - pooled) / (pooled + RIDGE / pooled.shape[-1])
    kappa = float(variance_ratio @ noise.sum(axis=-1))
    return common_size(
        sizes, parts.group, max(float(apart) - float(np.mean(kappa / sizes)), 0.0), kappa
    )


def varying_alone(parts: Parts, enough: int) -> Parts:
    """Return the parts of units in several groups where these answer alone, else all parts.

    They do where `enough` units vary, and no fewer than the smallest group has other units. They must
    leave no group with fewer than two of them.
    """
    varies = is_varying(parts.unit)
    count = 1 + parts.group.max()
    constant = np.bincount(parts.group[~varies], minlength=count)
    varying = np.bincount(parts.group[varies], minlength=count)
    units = len(np.unique(parts.unit[varies]))
    is_enough = units >= max(enough, constant.min()) and (varying >= 2).all()
    return parts.only(varies) if is_enough else parts
