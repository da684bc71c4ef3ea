"""Which axis shifts kernels most: the drift between the groups of every axis, as in the papers' plots."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._axes import axes_of
from ._drift import drift_between
from ._drift_table import ALPHA, FEWEST, DriftTable, Pair
from ._evidence import Balance
from ._groups import group_layers
from ._saved import SavedScan


@dataclasses.dataclass(frozen=True)
class AxisRow:
    """How an axis shifts kernels: median, mean and maximum of the metric over pairs of its groups.

    Groups of fewer than `FEWEST` kernels are counted in `small` and not among the pairs.
    `furthest` is the pair of the maximum; `smallest_p` the least adjusted p of all pairs, None where
    no pair has one, or there are so many pairs that none could be small.
    """

    axis: str
    groups: int
    small: int
    median: float
    mean: float
    maximum: float
    furthest: tuple[str, str]
    smallest_p: float | None


@dataclasses.dataclass(frozen=True)
class AxisTable:
    """Every axis by its median, the largest first, and the axes left out with their reasons."""

    metric: str
    clean: bool
    balance: Balance
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
    permutations: int = 400,
    seed: int = 0,
) -> AxisTable:
    """How much each axis shifts kernels: `drift_between` along every one, in one row each.

    **Arguments:**

    - `permutations`: of models, for axes of at most a twentieth as many pairs: of more pairs none
      could have a small p once it is corrected for their number.
    - `axes`: the axes; all of `axes_of` if not given, of which some may be left out.

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
            permutations=permutations if _can_tell(scan, axis, permutations) else 0,
            replicates=0,
            seed=seed,
        )
        pairs = [pair for pair in table.pairs if _is_large(pair)]
        if pairs:
            rows.append(_row(table, pairs))
        else:
            left_out[axis] = f"no two of its {len(table.labels)} groups have {FEWEST} kernels"
    rows.sort(key=lambda row: -row.median)
    return AxisTable(metric, clean, balance, permutations, seed, tuple(rows), left_out)


def axes_record(table: AxisTable) -> dict[str, Any]:
    """The table as JSON holds it."""
    return dataclasses.asdict(table)


def _can_tell(scan: SavedScan, axis: str, permutations: int) -> bool:
    """Whether any p of so many pairs can be small once it is corrected for their number."""
    pairs = len(list(group_layers(scan, axis).pairs))
    return pairs <= ALPHA * (1 + permutations)


def _is_large(pair: Pair) -> bool:
    sizes = pair.first_size.effective, pair.second_size.effective
    return pair.value is not None and min(sizes) >= FEWEST


def _row(table: DriftTable, pairs: list[Pair]) -> AxisRow:
    values = np.array([pair.value for pair in pairs])
    furthest = pairs[int(np.argmax(values))]
    p = [pair.p_adjusted for pair in pairs if pair.p_adjusted is not None]
    return AxisRow(
        table.by,
        len(table.labels),
        sum(size.effective < FEWEST for size in table.sizes),
        float(np.median(values)),
        float(np.mean(values)),
        float(np.max(values)),
        (furthest.first, furthest.second),
        min(p, default=None),
    )
