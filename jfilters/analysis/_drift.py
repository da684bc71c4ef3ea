"""What shifted along an axis, and whether it is more than chance: all pairs of groups of one scan."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

from ..shift import METRICS, PopulationNull, SamplingNull, holm
from ._cards import CardComparison
from ._drift_table import DriftTable, Pair, Size
from ._evidence import Balance
from ._groups import Groups, group_layers, matched_layers
from ._samples import SampleComparison
from ._saved import SavedScan
from ._sides import sides_of

MOST_GROUPS = 2_000
"""Groups of which all pairs are compared: two million pairs."""

MOST_REPLICATES = 8_000
"""Of the bootstrap over all pairs of a question, so that many pairs take no longer than some."""

FEWEST_REPLICATES = 50
"""Of the bootstrap of a pair: its 95 % quantile is then off by a tenth of the spread."""

_NOT_DEALT = PopulationNull(None, 1.0, False, "no permutations were asked for")


class _Comparison(Protocol):
    """A metric between the sides of one question."""

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray | None]: ...

    def sampling(
        self, rng: np.random.Generator, i: int, j: int, replicates: int
    ) -> SamplingNull | None: ...

    def population(
        self, rng: np.random.Generator, i: int, j: int, permutations: int
    ) -> PopulationNull: ...


def drift_between(
    scan: SavedScan,
    by: str,
    *,
    within: str | None = None,
    metric: str = "drift",
    clean: bool = False,
    balance: Balance = "kernels",
    matched: Sequence[str] = (),
    permutations: int = 1000,
    replicates: int = 200,
    seed: int = 0,
) -> DriftTable:
    """Every pair of groups along an axis: the value, what chance makes of it, and a plain word.

    **Arguments:**

    - `by`: the axis whose labels make the groups.
    - `within`: another axis; groups are compared inside each of its values alone.
    - `metric`: a name of `METRICS`.
    - `clean`: without sparse kernels.
    - `balance`: what counts the same in a group: every kernel, every layer or every model.
    - `matched`: axes of models; the permutations exchange only models with the same labels on all of
      them. In a crossed design, where each kind of model is in every group, this takes what
      these axes do out of the null.
    - `permutations`: random splits a pair; all distinct ones where there are no more. 0: no p.
    - `replicates`: of the bootstrap behind the sampling null, fewer for many pairs. 0: no sampling
      null.
    - `seed`: of the bootstrap and the permutations; the same seed gives the same table.

    Raises ValueError for an axis or metric that is not there, fewer than two groups, and what the
    scan does not hold.
    """
    _check(metric, permutations, replicates)
    groups = group_layers(scan, by, within)
    _check_groups(groups)
    sides = sides_of(scan, groups.groups, clean, balance, matched_layers(scan, matched))
    comparison: _Comparison = (
        SampleComparison(scan, sides, metric, clean, balance, seed)
        if METRICS[metric].reads == "sample"
        else CardComparison(scan, sides, metric, clean, balance)
    )
    sizes = tuple(Size(s.models, len(s.group.layers), s.kernels, s.size) for s in sides)
    rows = [comparison.row(i) for i in range(len(sides))]
    asked = (by, within, metric, clean, balance, tuple(matched), permutations, seed)
    labels = tuple(group.name for group in groups.groups)
    matrix = _compared(np.stack([values for values, _ in rows]), groups)
    pairs, places = [], list(groups.pairs)
    few = min(replicates, max(MOST_REPLICATES // len(places), FEWEST_REPLICATES))
    for i, j in places:
        # Each pair draws numbers of its own, which no other pair changes.
        rng = np.random.default_rng([seed, i, j])
        sampling = comparison.sampling(rng, i, j, few) if few else None
        dealt = comparison.population(rng, i, j, permutations) if permutations else _NOT_DEALT
        pairs.append(_pair(groups, sizes, rows[i], (i, j), sampling, dealt))
    return DriftTable(*asked, labels, sizes, matrix, adjusted(pairs), groups.unknown)


def _check(metric: str, permutations: int, replicates: int) -> None:
    if metric not in METRICS:
        near = difflib.get_close_matches(metric, METRICS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"expected a metric, one of {', '.join(METRICS)}; got {metric!r}{hint}")
    for name, number in (("permutations", permutations), ("replicates", replicates)):
        if number < 0:
            raise ValueError(f"expected 0 {name} or more, got {number}")


def _check_groups(groups: Groups) -> None:
    where = "" if groups.within is None else f" inside one value of {groups.within}"
    if next(iter(groups.pairs), None) is None:
        found = ", ".join(group.name for group in groups.groups[:5]) or "none"
        raise ValueError(
            f"expected two groups or more along {groups.by}{where}, found {found}; "
            "ask for another axis, or hand over --meta"
        )
    if len(groups.groups) > MOST_GROUPS:
        raise ValueError(
            f"expected at most {MOST_GROUPS} groups along {groups.by}{where}, found "
            f"{len(groups.groups)}; narrow the question with --where"
        )


def _pair(
    groups: Groups,
    sizes: tuple[Size, ...],
    row: tuple[np.ndarray, np.ndarray | None],
    places: tuple[int, int],
    sampling: SamplingNull | None,
    dealt: PopulationNull,
) -> Pair:
    (i, j), (values, shares) = places, row
    first, second = groups.groups[i], groups.groups[j]
    return Pair(
        first=first.label,
        second=second.label,
        within=first.within,
        value=None if np.isnan(values[j]) else float(values[j]),
        shares=None if shares is None else tuple(shares[j].tolist()),
        first_size=sizes[i],
        second_size=sizes[j],
        null=sampling,
        p=dealt.p,
        p_adjusted=None,
        smallest_p=dealt.smallest,
        reason=dealt.reason,
    )


def _compared(matrix: Float[np.ndarray, "m m"], groups: Groups) -> Float[np.ndarray, "m m"]:
    """Only pairs inside one value of the other axis; NaN elsewhere."""
    within = np.array([group.within or "" for group in groups.groups], object)
    return np.where(within[:, None] == within[None], matrix, np.nan)


def adjusted(pairs: list[Pair]) -> tuple[Pair, ...]:
    """With p corrected for the number of pairs that have one."""
    tested = [k for k, pair in enumerate(pairs) if pair.p is not None]
    adjusted = dict(zip(tested, holm([pairs[k].p or 0 for k in tested]).tolist(), strict=True))
    return tuple(
        dataclasses.replace(pair, p_adjusted=adjusted.get(k)) for k, pair in enumerate(pairs)
    )
