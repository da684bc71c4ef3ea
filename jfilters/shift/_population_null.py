"""The population null: how often units that change sides differ as much as the groups observed.

Kernels of one network are no independent draws, and neither are networks of one family. So units
change sides whole. The sampling null answers another question: the value between two samples of one
histogram.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64, Integer, Num

from .._traced import on_host
from ._labelings import blocks_of, is_varying, labelings
from ._nulls import AS_LARGE, PopulationNull
from ._parts import Parts, features, parts_of, thinned, varying_alone
from ._unit_statistic import flip_products, summed_statistic
from ._unit_sums import unit_sums

ONE_UNIT = "one unit against one: there is no other way to split them"
ONE_VARYING = "one unit only: its parts cannot tell what other units would show"
NO_SPLIT = "no two units that may change sides lie in different groups"

ENOUGH_VARYING = 6
"""Units in both groups that answer without the others: 2 / 2^6 = 0.03 is the least p of their swaps."""

_BATCH = 256  # labelings at once: the sums of both groups stay in the cache

SumsStatistic = Callable[[Float[np.ndarray, "count groups features"]], np.ndarray]
"""From the summed rows of all groups, one value a labeling."""


@on_host("test outside of the program, on the histograms that it returns")
def population_null(
    rng: np.random.Generator,
    counts: Integer[np.ndarray, "layers d bins"],
    unit: Integer[np.ndarray, " layers"],
    group: Integer[np.ndarray, " layers"],
    variance_ratio: Float[np.ndarray, " d"],
    *,
    strata: Integer[np.ndarray, " layers"] | None = None,
    permutations: int = 1000,
    statistic: SumsStatistic | None = None,
) -> PopulationNull:
    """Return the p-value of groups of layers under labels permuted among whole units.

    p = (1 + #{permuted >= observed}) / (1 + permutations) of the sum of U over all pairs of groups. Where
    there are no more distinct labelings than that, every one is tried, and p is the share as large.

    - Units of one group exchange their labels. All parts are thinned to one number of kernels before, so
      that sizes make no p.
    - Units with layers in several groups turn their differences round, each by itself. Nothing is thinned.
    - A mix: six or more units in several groups, and no fewer than the smallest group has of others, answer
      alone. Otherwise both actions are taken at once, and all parts are thinned.

    Runs on the host.

    Args:
        rng: of the thinning and the permutations.
        counts: histograms of the layers, in whole kernels.
        unit: the run or family of each layer, or its network.
        group: 0, 1, ... of each layer.
        variance_ratio: the weight of each component.
        strata: units of one group are exchanged only with those of the same number.
        permutations: random labelings.
        statistic: in place of U, a function of the summed histograms (count, groups, d * bins) of thinned
            parts, larger where groups differ more.

    Returns:
        p, None with the reason where units cannot be split in another way, and the least p possible.

    Source: derived for this project; docs/method.md, Population null.
    """
    parts = parts_of(counts, np.asarray(unit), np.asarray(group), strata)
    return parts_null(rng, parts, variance_ratio, permutations=permutations, statistic=statistic)


def parts_null(
    rng: np.random.Generator,
    parts: Parts,
    variance_ratio: Float[np.ndarray, " d"],
    *,
    permutations: int,
    statistic: SumsStatistic | None = None,
) -> PopulationNull:
    """Return `population_null` of parts that are summed already."""
    groups, number = np.unique(parts.group, return_inverse=True)
    if len(groups) < 2:
        return PopulationNull(None, 1.0, True, NO_SPLIT)
    parts = parts._replace(group=number.reshape(-1))
    parts = varying_alone(parts, ENOUGH_VARYING)
    if (reason := _no_test(parts)) is not None:
        return PopulationNull(None, 1.0, True, reason)
    if statistic is None and is_varying(parts.unit).all():
        return _flipped(rng, parts, variance_ratio, permutations)
    units = len(np.unique(parts.unit))
    equal, size = thinned(rng, parts, variance_ratio)
    rows = features(equal.counts, variance_ratio) if statistic is None else _flat(equal.counts)
    null = relabeled_null(rng, rows, equal, statistic=statistic, permutations=permutations)
    return null._replace(kernels=size, units_out=units - len(np.unique(equal.unit)))


def relabeled_null(
    rng: np.random.Generator,
    rows: Num[np.ndarray, "parts features"],
    parts: Parts,
    *,
    permutations: int,
    statistic: SumsStatistic | None = None,
) -> PopulationNull:
    """Return the population null of parts of equal size by labels that change blocks' places.

    `rows` are what the statistic reads: features for U, or what adds up within a group.
    """
    blocks = blocks_of(parts.unit, parts.strata)
    labels, exact = labelings(rng, parts.group, blocks, permutations)
    labels = np.concatenate([parts.group[None], labels])
    if statistic is None:
        values = summed_statistic(rows, labels, parts.unit)
    else:
        values = _of_sums(rows, labels, statistic)
    return _null(values[0], values[1:], exact)


def _flipped(
    rng: np.random.Generator, parts: Parts, variance_ratio: np.ndarray, permutations: int
) -> PopulationNull:
    rows = features(parts.counts, variance_ratio)
    products = flip_products(rows, parts.unit, parts.group)
    k = len(products)
    exact = k < 60 and 2**k <= permutations
    if exact:
        signs = 1.0 - 2.0 * ((np.arange(2**k)[:, None] >> np.arange(k)) & 1)
    else:
        signs = rng.choice([-1.0, 1.0], (permutations, k))
    values = np.einsum("rk,rk->r", signs @ products, signs)
    return _null(float(products.sum()), values, exact)


def _null(observed: float, values: Float[np.ndarray, " count"], exact: bool) -> PopulationNull:
    slack = (1 - AS_LARGE) * (abs(observed) + float(np.abs(values).max(initial=0)))
    extreme, count = int(np.sum(values >= observed - slack)), len(values)
    if not exact:
        return PopulationNull((1 + extreme) / (1 + count), 1 / (1 + count), False)
    least = int(np.sum(values >= values.max() - slack)) / count
    if least == 1:
        return PopulationNull(None, 1.0, True, NO_SPLIT)
    return PopulationNull(extreme / count, least, True)


def _no_test(parts: Parts) -> str | None:
    """Return the reason why no other split exists, as far as it is plain from numbers of units."""
    varies = is_varying(parts.unit)
    varying = len(np.unique(parts.unit[varies]))
    constant = np.bincount(parts.group[~varies], minlength=1 + parts.group.max())
    if varying == 0 and constant.max() == 1:
        return ONE_UNIT
    if varying < 2 and np.count_nonzero(constant) < 2:
        return ONE_VARYING
    return None


def _of_sums(
    rows: Num[np.ndarray, "parts features"],
    labels: Int64[np.ndarray, "count parts"],
    statistic: SumsStatistic,
) -> Float[np.ndarray, " count"]:
    sums, groups = unit_sums(rows), 1 + int(labels[0].max())
    values = []
    for start in range(0, len(labels), _BATCH):
        batch = labels[start : start + _BATCH]
        of_groups = [sums(batch == group) for group in range(groups)]
        values.append(statistic(np.stack(of_groups, axis=1)))
    return np.concatenate(values)


def _flat(counts: Num[np.ndarray, "parts d bins"]) -> Num[np.ndarray, "parts features"]:
    return counts.reshape(len(counts), math.prod(counts.shape[1:]))
