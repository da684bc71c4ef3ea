"""The answer to a question of drift: one record a pair of groups, with a label, and its files."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from ... import _html
from ..._files import Location, write_text, written_whole
from ...answers import Answer
from ...scans.internal import Frame, frame, matrix_csv, matrix_frame
from ...shift import METRICS
from ._pair import Label, Pair, Size
from ._question import Question

MOST_SHOWN = 20
"""Groups whose matrix a notebook shows; of more it shows as many of the largest pairs."""


@dataclasses.dataclass(frozen=True, eq=False)
class DriftTable(Answer):
    """One question's answer: the matrix, row against column, and a record of every pair.

    Groups of different values of `within` are not compared: NaN in the matrix. `unknown` counts the
    layers without a label, which are in no group. `unit` is the kind of unit that the test exchanged, and
    `units` and `models` count those of all groups. `warnings` are sentences about what limits the test.
    """

    by: str
    question: Question
    labels: tuple[str, ...]
    sizes: tuple[Size, ...]
    matrix: Float[np.ndarray, "m m"]
    pairs: tuple[Pair, ...] = dataclasses.field(repr=False)
    unknown: int
    unit: str
    units: int
    models: int
    warnings: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """The name of the metric of its values."""
        return self.question.metric

    @property
    def within(self) -> str | None:
        """The axis inside whose values groups are compared; None if all pairs are."""
        return self.question.within

    def record(self) -> dict[str, Any]:
        """Return the options of the question, the groups, the matrix and one record a pair."""
        names = ("within", "metric", "clean", "balance", "matched", "permutations", "seed")
        matrix = [
            [None if np.isnan(value) else value for value in row] for row in self.matrix.tolist()
        ]
        groups = [
            {"label": label} | dataclasses.asdict(size)
            for label, size in zip(self.labels, self.sizes, strict=True)
        ]
        return {
            "by": self.by,
            **{name: getattr(self.question, name) for name in names},
            "unit": self.unit,
            "units": self.units,
            "models": self.models,
            "smallest_p": min((pair.smallest_p for pair in self.pairs), default=1.0),
            "warnings": list(self.warnings),
            "unknown": self.unknown,
            "groups": groups,
            "matrix": matrix,
            "pairs": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a pair."""
        return [dataclasses.asdict(pair) | {"label": pair.label} for pair in self.pairs]

    @property
    def frame(self) -> Frame:
        """The matrix with its labels, row against column; needs pandas."""
        return matrix_frame(self.labels, self.matrix, self.by)

    @property
    def pairs_frame(self) -> Frame:
        """One row a pair with everything that is known of it, under the columns of `save_pairs`."""
        return frame(pairs_table(self))

    def __repr__(self) -> str:
        within = "" if self.within is None else f" within {self.within}"
        labels = Counter(pair.label for pair in self.pairs)
        counts = ", ".join(f"{count:,} {label}" for label, count in labels.most_common())
        pairs = f"{len(self.pairs):,} pair{'' if len(self.pairs) == 1 else 's'}"
        units = f"{self.units:,} units ({self.models:,} models)"
        sizes = f"{len(self.labels):,} groups, {pairs}, {units}"
        return f"DriftTable({self.metric} by {self.by}{within}: {sizes}; {counts})"

    def _repr_html_(self) -> str:
        return drift_html(self)


def marks(table: DriftTable) -> dict[tuple[int, int], Label]:
    """Return the label of every compared pair, by its places in the matrix, in both orders."""
    place = {label: i for i, label in enumerate(table.labels)}
    labels = {}
    for pair in table.pairs:
        before = "" if pair.within is None else f"{pair.within}: "
        i, j = place[before + pair.first], place[before + pair.second]
        labels[i, j] = labels[j, i] = pair.label
    return labels


def drift_html(table: DriftTable) -> str:
    """Return the matrix with a mark for values within the null; of many groups the largest pairs."""
    line = _html.paragraph(repr(table))
    if len(table.labels) > MOST_SHOWN:
        readable = [pair for pair in table.pairs if not pair.is_of_few_kernels]
        largest = sorted(readable, key=lambda pair: -(pair.value or 0))[:MOST_SHOWN]
        rows = [[pair.within, pair.first, pair.second, pair.value, pair.label] for pair in largest]
        head = ["within", "from", "to", table.metric, ""]
        return line + _html.table(
            head, rows, caption=f"the {MOST_SHOWN} largest; .pairs_frame has all"
        )
    labels_of_pairs = marks(table)
    rows = [
        [label, *(_cell(value, labels_of_pairs.get((i, j), "")) for j, value in enumerate(row))]
        for i, (label, row) in enumerate(zip(table.labels, table.matrix.tolist(), strict=True))
    ]
    caption = f"{table.metric} in {METRICS[table.metric].unit}; {_MARKS}"
    return line + _html.styled([table.by, *table.labels], rows, _shades(table), caption=caption)


def _shades(table: DriftTable) -> list[list[str]]:
    """The CSS of the matrix: the larger the darker; pairs of too few kernels have no shade."""
    labels, matrix = marks(table), table.matrix.tolist()
    readable = {
        (i, j): value
        for i, row in enumerate(matrix)
        for j, value in enumerate(row)
        if i != j and labels.get((i, j)) != "too few kernels" and np.isfinite(value)
    }
    largest = max(readable.values(), default=0) or 1
    size = range(len(matrix))
    return [["", *(_html.shade(readable.get((i, j), 0.0) / largest) for j in size)] for i in size]


_MARKS = "in parentheses: within null; with *: no test; with ?: too few kernels to tell"


def _cell(value: float, label: str | None) -> str:
    if np.isnan(value):
        return ""
    shown = f"{value:.3g}"
    forms = {"within null": "({})", "too few kernels": "{} ?", "no test": "{} *"}
    return forms.get(label or "", "{}").format(shown)


def save_matrix(table: DriftTable, path: Location) -> None:
    """Write the matrix as CSV, names in header and first column; empty where groups are not compared."""
    write_text(path, matrix_csv(table.labels, table.matrix))


def save_pairs(table: DriftTable, path: Location) -> None:
    """Write one row a pair as CSV, with everything that is known of it; empty for what is not."""
    pairs = pairs_table(table)
    columns = (pairs[name].to_pylist() for name in pairs.column_names)
    _write_csv(path, [pairs.column_names, *zip(*columns, strict=True)])


def pairs_table(table: DriftTable) -> pa.Table:
    """Return one row a pair: labels, value, nulls, p, label, sizes, and the share of every component."""
    d = max((len(pair.shares) for pair in table.pairs if pair.shares), default=0)
    schema = _schema(table.metric, d)
    columns = zip(*(_pair_row(pair, d) for pair in table.pairs), strict=True)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema,
    )


def _schema(metric: str, d: int) -> pa.Schema:
    numbers = [metric, "debiased", "effect", "effect_low", "effect_high"]
    numbers += ["sampling_mean", "sampling_95", "p", "p_adjusted", "smallest_p"]
    return pa.schema(
        [(name, pa.string()) for name in ("within", "first", "second")]
        + [(name, pa.float64()) for name in numbers]
        + [(name, pa.string()) for name in ("label", "reason")]
        + [(name, pa.int64()) for name in ("thinned_to", "units_out")]
        + [
            (f"{side}_{of.name}", pa.int64() if of.type is int else pa.float64())
            for side in ("first", "second")
            for of in dataclasses.fields(Size)
        ]
        + [(f"component_{i + 1}", pa.float64()) for i in range(d)]
    )


def _pair_row(pair: Pair, d: int) -> list[object]:
    null = pair.sampling_null
    sampling = (None, None) if null is None else (null.mean, null.quantile95)
    effect = (pair.effect, pair.effect_low, pair.effect_high)
    sizes = dataclasses.astuple(pair.first_size) + dataclasses.astuple(pair.second_size)
    return [
        *(pair.within, pair.first, pair.second, pair.value, pair.debiased, *effect, *sampling),
        *(pair.p, pair.p_adjusted, pair.smallest_p, pair.label, pair.reason),
        *(pair.thinned_to, pair.units_out, *sizes),
        *(pair.shares or (None,) * d),
    ]


def _write_csv(path: Location, rows: Iterable[Iterable[object]]) -> None:
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
