"""Which axis shifts kernels most: the drift between the groups of every axis, as in the papers' plots."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..shift import AxisNull
from ._axes import axes_of
from ._axis_null import axis_null
from ._drift import drift_between
from ._drift_table import FEWEST, DriftTable, Pair
from ._evidence import Balance
from ._groups import Group, group_layers
from ._saved import SavedScan


@dataclasses.dataclass(frozen=True)
class AxisRow:
    """How an axis shifts kernels: median, mean and maximum of the metric over pairs of its groups.

    Groups of fewer than `FEWEST` kernels are counted in `small` and not among the pairs.
    `furthest` is the pair of the maximum. `chance` is the mean of the median by chance, and `p` how often
    it is as large then, by the larger of two nulls: labels dealt anew to whole models, or to layers inside
    each model where labels differ there; and all groups drawn from one distribution, for metrics of
    histograms. None, with the `reason`, where there is no other way to deal.
    """

    axis: str
    groups: int
    small: int
    median: float
    mean: float
    maximum: float
    furthest: tuple[str, str]
    chance: float | None
    p: float | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class AxisTable:
    """Every axis by its median, the largest first, and the axes left out with their reasons."""

    metric: str
    clean: bool
    balance: Balance
    matched: tuple[str, ...]
    permutations: int
    seed: int
    rows: tuple[AxisRow, ...]
    left_out: dict[str, str]


def axes_table(
    scan: SavedScan,
    axes: Sequence[str] | None = None,
    *,
    metric: str = "drift",
    clean: bool = False,
    balance: Balance = "kernels",
    matched: Sequence[str] = (),
    permutations: int = 400,
    seed: int = 0,
) -> AxisTable:
    """How much each axis shifts kernels: `drift_between` along every one, in one row each.

    **Arguments:**

    - `axes`: the axes; all of `axes_of` if not given, of which some may be left out.
    - `matched`: axes of models; labels are dealt only among models that agree on these, but for the
      one that is tested.
    - `permutations`: relabelings of an axis. 0: no p.

    Raises what `drift_between` does, for axes that were asked for by name.
    """
    rows, left_out = [], {}
    for axis in axes_of(scan) if axes is None else axes:
        table = drift_between(
            scan,
            axis,
            metric=metric,
            clean=clean,
            balance=balance,
            permutations=0,
            replicates=0,
            seed=seed,
        )
        pairs = [pair for pair in table.pairs if _is_large(pair)]
        if pairs:
            asked = {"metric": metric, "clean": clean, "balance": balance, "seed": seed}
            null = axis_null(
                scan,
                _large_groups(scan, table),
                **asked,
                matched=[name for name in matched if name != axis],
                permutations=permutations,
            )
            rows.append(_row(table, pairs, null))
        else:
            left_out[axis] = f"no two of its {len(table.labels)} groups have {FEWEST} kernels"
    rows.sort(key=lambda row: -row.median)
    asked = (metric, clean, balance, tuple(matched), permutations, seed)
    return AxisTable(*asked, tuple(rows), left_out)


def axes_record(table: AxisTable) -> dict[str, Any]:
    """The table as JSON holds it."""
    return dataclasses.asdict(table)


def _large_groups(scan: SavedScan, table: DriftTable) -> list[Group]:
    groups = group_layers(scan, table.by).groups
    return [
        group for group, size in zip(groups, table.sizes, strict=True) if size.effective >= FEWEST
    ]


def _is_large(pair: Pair) -> bool:
    sizes = pair.first_size.effective, pair.second_size.effective
    return pair.value is not None and min(sizes) >= FEWEST


def _row(table: DriftTable, pairs: list[Pair], null: AxisNull) -> AxisRow:
    values = np.array([pair.value for pair in pairs])
    furthest = pairs[int(np.argmax(values))]
    return AxisRow(
        table.by,
        len(table.labels),
        sum(size.effective < FEWEST for size in table.sizes),
        float(np.median(values)),
        float(np.mean(values)),
        float(np.max(values)),
        (furthest.first, furthest.second),
        null.mean,
        null.p,
        null.reason,
    )
