"""The answer to "what shifted along an axis": one record a pair of groups, a plain word, and its files."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from .._files import written_whole
from ..shift import SamplingNull
from ._evidence import Balance

Word = Literal["shifted", "within chance", "too few kernels"]

FEWEST = 100
"""Kernels of a group below which no number says much: sampling alone makes a drift of about 1 nat."""

ENOUGH = 10_000
"""Kernels of a group from which on sampling makes little: a drift of about 0.005 nats."""

ALPHA = 0.05
"""The chance of one false "shifted" among all pairs of a question."""


@dataclasses.dataclass(frozen=True)
class Size:
    """What a group is made of; `effective` is the number of equally weighted kernels that tell as much."""

    models: int
    layers: int
    kernels: int
    effective: float


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two groups compared: from the first to the second.

    `shares` is what each component adds to `value`; `p_adjusted` is corrected for the number of pairs,
    and `smallest_p` what p could be at least. What is not known is None; `reason` says why there is no p.
    """

    first: str
    second: str
    within: str | None
    value: float | None
    shares: tuple[float, ...] | None
    first_size: Size
    second_size: Size
    null: SamplingNull | None
    p: float | None
    p_adjusted: float | None
    smallest_p: float
    reason: str | None

    @property
    def word(self) -> Word | None:
        """What to make of the value; None where no null is known.

        Too few kernels: fewer than `FEWEST` in a group, or fewer than `ENOUGH` while sampling alone
        makes half of the value. Shifted: the adjusted p is at most `ALPHA`; where models cannot be
        split in another way, the value lies above the sampling null's 95 %, which says that these
        models differ, not that their kinds do.
        """
        kernels = min(self.first_size.effective, self.second_size.effective)
        if self.value is None or kernels < FEWEST:
            return "too few kernels"
        if self.null and kernels < ENOUGH and self.value <= 2 * self.null.quantile95:
            return "too few kernels"
        if self.p_adjusted is not None:
            return "shifted" if self.p_adjusted <= ALPHA else "within chance"
        if self.null is None:
            return None
        return "shifted" if self.value > self.null.quantile95 else "within chance"


@dataclasses.dataclass(frozen=True, eq=False)
class DriftTable:
    """One question's answer: the matrix, row against column, and a record of every pair.

    Groups of different values of `within` are not compared: NaN in the matrix. `unknown` counts the
    layers without a label, which are in no group.
    """

    by: str
    within: str | None
    metric: str
    clean: bool
    balance: Balance
    permutations: int
    seed: int
    labels: tuple[str, ...]
    sizes: tuple[Size, ...]
    matrix: Float[np.ndarray, "m m"]
    pairs: tuple[Pair, ...] = dataclasses.field(repr=False)
    unknown: int


def drift_record(table: DriftTable) -> dict[str, Any]:
    """The table as JSON holds it: null for what is not known."""
    asked = ("by", "within", "metric", "clean", "balance", "permutations", "seed", "unknown")
    matrix = [
        [None if np.isnan(value) else value for value in row] for row in table.matrix.tolist()
    ]
    groups = [
        {"label": label} | dataclasses.asdict(size)
        for label, size in zip(table.labels, table.sizes, strict=True)
    ]
    return {
        **{name: getattr(table, name) for name in asked},
        "groups": groups,
        "matrix": matrix,
        "pairs": [dataclasses.asdict(pair) | {"word": pair.word} for pair in table.pairs],
    }


def save_matrix(table: DriftTable, path: Path) -> None:
    """Write the matrix as CSV, names in header and first column; empty where groups are not compared."""
    rows = (
        [label, *("" if np.isnan(value) else repr(value) for value in row)]
        for label, row in zip(table.labels, table.matrix.tolist(), strict=True)
    )
    _write_csv(path, [["", *table.labels], *rows])


def save_pairs(table: DriftTable, path: Path) -> None:
    """Write one row a pair as CSV, with everything that is known of it; empty for what is not."""
    d = max((len(pair.shares) for pair in table.pairs if pair.shares), default=0)
    head = ["within", "first", "second", table.metric, "null_mean", "null_95", "p", "p_adjusted"]
    sizes = [f"{side}_{of.name}" for side in ("first", "second") for of in dataclasses.fields(Size)]
    shares = [f"component_{i + 1}" for i in range(d)]
    rows = (_pair_row(pair, d) for pair in table.pairs)
    _write_csv(path, [[*head, "smallest_p", "word", "reason", *sizes, *shares], *rows])


def _pair_row(pair: Pair, d: int) -> list[object]:
    null = (None, None) if pair.null is None else (pair.null.mean, pair.null.quantile95)
    sizes = dataclasses.astuple(pair.first_size) + dataclasses.astuple(pair.second_size)
    return [
        *(pair.within, pair.first, pair.second, pair.value, *null, pair.p, pair.p_adjusted),
        *(pair.smallest_p, pair.word, pair.reason, *sizes),
        *(pair.shares or (None,) * d),
    ]


def _write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
