"""The drift between two populations of units, without what sampling and single units add.

Its interval is over units: what other networks of the same kinds would show.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, Integer

from .._traced import on_host
from ._parts import Parts, features, parts_of

EFFECT_RIDGE = 0.01
"""Of the mean share of a bin: of drift up to 0.1 nats, the estimate is 0.91 to 0.94."""

FEWEST_UNITS = 3
"""Units of a group, without one of which its mean product still exists."""

CONFIDENCE = 0.95


class UnitDrift(NamedTuple):
    """The estimate U of drift between populations of units, in nats, and its 95 % interval.

    `low` and `high` are None for fewer than `FEWEST_UNITS` in a group.
    """

    value: float
    low: float | None
    high: float | None


@on_host("compute it outside of the program, on the histograms that it returns")
def unit_drift(
    counts: Integer[np.ndarray, "layers d bins"],
    unit: Integer[np.ndarray, " layers"],
    group: Integer[np.ndarray, " layers"],
    variance_ratio: Float[np.ndarray, " d"],
) -> UnitDrift | None:
    """Return U between two groups of layers, whatever the numbers of kernels; None without two units each.

    The expected value is the squared distance of the mean histograms of both populations of units, which is
    drift to second order: 0 where nothing differs. An estimate may be negative. The interval is that of
    Student's t with the jackknife over units. Runs on the host.

    Args:
        counts: histograms of the layers, in whole kernels.
        unit: the run or family of each layer, or its network.
        group: 0 or 1.
        variance_ratio: the weight of each component.

    Source: derived for this project; docs/method.md, Drift between units.
    """
    parts = parts_of(counts, np.asarray(unit), np.asarray(group))
    return parts_drift(parts, variance_ratio)


def parts_drift(parts: Parts, variance_ratio: Float[np.ndarray, " d"]) -> UnitDrift | None:
    """Return `unit_drift` of parts that are summed already."""
    if np.bincount(parts.group, minlength=2).min() < 2:
        return None
    rows = features(parts.counts, variance_ratio, ridge=EFFECT_RIDGE)
    units, place = np.unique(parts.unit, return_inverse=True)
    sides = _Sides.of(rows, place, parts.group, len(units))
    whole = float(sides.statistic(np.zeros(1, np.int64), omit=False)[0])
    if sides.present.sum(axis=1).min() < FEWEST_UNITS:
        return UnitDrift(whole, None, None)
    return UnitDrift(whole, *_interval(whole, sides, _kinds(sides)))


class _Sides(NamedTuple):
    """Rows of both parts of every unit, zeros where there is none, and what parts are there."""

    rows: Float[np.ndarray, "2 units features"]
    present: Int64[np.ndarray, "2 units"]

    @classmethod
    def of(cls, rows: np.ndarray, place: np.ndarray, group: np.ndarray, units: int) -> "_Sides":
        """Lay rows out by unit and group."""
        laid = np.zeros((2, units, rows.shape[1]))
        present = np.zeros((2, units), np.int64)
        laid[group, place], present[group, place] = rows, 1
        return cls(laid, present)

    def statistic(self, units: np.ndarray, *, omit: bool) -> Float[np.ndarray, " units"]:
        """Return U, without each of some units if `omit`."""
        factor = float(omit)
        own = np.sum(np.square(self.rows), axis=2)
        met = np.sum(self.rows[0] * self.rows[1], axis=1)
        both = self.present[0] * self.present[1]
        k = self.present.sum(axis=1)[:, None] - omit * self.present[:, units]
        sums = self.rows.sum(axis=1)[:, None] - factor * self.rows[:, units]
        inside = np.sum(np.square(sums), axis=2) - own.sum(axis=1)[:, None] + factor * own[:, units]
        inside = inside / np.maximum(k * (k - 1), 1)
        between = np.sum(sums[0] * sums[1], axis=1) - met.sum() + factor * met[units]
        pairs = k[0] * k[1] - both.sum() + omit * both[units]
        return inside[0] + inside[1] - 2 * between / np.maximum(pairs, 1)


def _kinds(sides: _Sides) -> Int64[np.ndarray, " units"]:
    """Return 1 for units of the first group, 2 for those of the second, 3 for those of both.

    A kind of fewer than `FEWEST_UNITS` tells no variance: it is counted with the most frequent one.
    """
    kinds = sides.present[0] + 2 * sides.present[1]
    counts = np.bincount(kinds, minlength=4)
    return np.where(counts[kinds] < FEWEST_UNITS, counts.argmax(), kinds)


def _interval(
    value: float, sides: _Sides, kinds: Int64[np.ndarray, " units"]
) -> tuple[float, float]:
    """Return the values that the estimate does not contradict.

    Beyond its variance tau^2 where nothing differs, U varies in proportion to the drift itself. So the
    interval holds every drift that lies within t of its own standard errors of the estimate.
    """
    from scipy.special import stdtrit  # 0.1 s, which only intervals pay for

    variances, freedoms = _jackknife(sides.statistic(np.arange(len(kinds)), omit=True), kinds)
    variance = variances.sum()
    if not variance > 0:
        return value, value
    # Welch's degrees of freedom: those of the kinds of units, by their part in the variance.
    freedom = variance**2 / np.sum(variances**2 / freedoms)
    t = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    null = _null_variance(sides, kinds)
    slope = max(variance - null, 0) * max(value, 0) / (value**2 + null)
    shift = t**2 * slope / 2
    reach = float(np.hypot(t * np.sqrt(variance), shift))
    return value + shift - reach, value + shift + reach


def _jackknife(
    without: Float[np.ndarray, " units"], kinds: Int64[np.ndarray, " units"]
) -> tuple[Float[np.ndarray, " kinds"], Int64[np.ndarray, " kinds"]]:
    """Return the variance of U and its degrees of freedom, kind by kind, from U without each unit.

    Units of the first group alone, of the second alone and of both vary by themselves.
    """
    groups = [without[kinds == kind] for kind in np.unique(kinds)]
    squares = [np.sum(np.square(values - values.mean())) for values in groups]
    sizes = np.array([len(values) for values in groups])
    return (sizes - 1) / sizes * np.array(squares), sizes - 1


def _null_variance(sides: _Sides, kinds: Int64[np.ndarray, " units"]) -> float:
    """Return the variance of U where nothing differs: twice the squared covariances of what it averages.

    A unit in both groups counts by the difference of its parts.
    """
    signs = np.array([1.0, -1.0])[:, None, None]
    rows = np.sum(signs * sides.rows / sides.present.sum(axis=1)[:, None, None], axis=0)
    index = np.unique(kinds, return_inverse=True)[1]
    counts = np.bincount(index)
    means = np.stack([rows[index == kind].mean(axis=0) for kind in range(len(counts))])
    scale = np.sqrt(counts / (counts - 1))[index, None]
    products = np.square((rows - means[index]) * scale @ ((rows - means[index]) * scale).T)
    np.fill_diagonal(products, 0)
    return 2 * float(products.sum())
