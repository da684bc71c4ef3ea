"""Drift along an axis for a terminal of 80 columns: groups, the matrix if it is small, and pairs."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..questions import DriftTable, Pair
from ..questions.internal import ALPHA
from ..shift import METRICS
from ._cells import count, number, plain_table, quantity

MOST_PAIRS = 40  # of the pairs, the largest first; the rest is only in the file
LARGEST_MATRIX = 9  # groups; a wider matrix does not fit

_WORDS = {"shifted": "bold red", "within null": "green", "too few kernels": "dim"}


def drift_text(table: DriftTable) -> RenderableType:
    """Return the question, the groups with their sizes, the matrix, and the pairs with their labels."""
    parts: list[RenderableType] = [_head(table), "", _groups(table)]
    if table.within is None and len(table.labels) <= LARGEST_MATRIX:
        parts += ["", _matrix(table)]
    parts += ["", _pairs(table)]
    hidden = len(table.pairs) - MOST_PAIRS
    if hidden > 0:
        parts.append(Text(f"and {quantity(hidden, 'smaller pair')}: --out FILE writes all of them"))
    return Group(*parts, *map(Text, _notes(table)))


def _head(table: DriftTable) -> Text:
    metric = METRICS[table.metric]
    within = "" if table.within is None else f" within {table.within}"
    unit = "" if metric.unit == "none" else f", in {metric.unit}"
    clean = ", without sparse kernels" if table.question.clean else ""
    counted = f"; every {table.question.balance.removesuffix('s')} counts the same"
    return Text.assemble(
        (f"{table.metric} between groups of {table.by}{within}", "bold"),
        f"{unit}{clean}{counted}\n{metric.direction}",
    )


def _groups(table: DriftTable) -> Table:
    rows = plain_table()
    rows.add_column("", justify="right")
    rows.add_column(table.by, overflow="fold", ratio=1)
    for heading in ("models", "layers", "kernels"):
        rows.add_column(heading, justify="right", overflow="fold")
    for i, (label, size) in enumerate(zip(table.labels, table.sizes, strict=True), 1):
        cells = map(count, (size.models, size.layers, size.kernels))
        rows.add_row(str(i), Text(label), *cells)
    return rows


def _matrix(table: DriftTable) -> Table:
    rows = plain_table()
    for i in range(len(table.labels) + 1):
        rows.add_column(str(i) if i else "", justify="right", overflow="fold")
    symmetric = METRICS[table.metric].symmetric
    for i, values in enumerate(table.matrix.tolist()):
        # The lower triangle says all, where swapping two groups changes nothing.
        shown = [
            number(None if np.isnan(value) else value, 3) if j < i or not symmetric else ""
            for j, value in enumerate(values)
        ]
        rows.add_row(str(i + 1), *shown)
    return rows


def _pairs(table: DriftTable) -> Table:
    rows = plain_table()
    if table.within is not None:
        rows.add_column(table.within, overflow="fold", ratio=1)
    for heading in ("from", "to"):
        rows.add_column(heading, overflow="fold", ratio=1)
    for heading in ("value", "null 95 %", "p"):
        rows.add_column(heading, justify="right", overflow="fold")
    rows.add_column("most by", overflow="fold")
    rows.add_column("", overflow="fold")
    for pair in sorted(table.pairs, key=lambda pair: -(pair.value or 0))[:MOST_PAIRS]:
        rows.add_row(*_cells(pair))
    return rows


def _cells(pair: Pair) -> list[Text | str]:
    labels = [Text(x) for x in (pair.within, pair.first, pair.second) if x is not None]
    null_95 = None if pair.null is None else pair.null.quantile95
    label = Text("-") if pair.label is None else Text(pair.label, _WORDS[pair.label])
    numbers = [number(x, 3) for x in (pair.value, null_95, pair.p_adjusted)]
    return [*labels, *numbers, _most(pair), label]


def _most(pair: Pair) -> str:
    """The component that adds most to the value, and the share of it."""
    if not pair.shares or not pair.value:
        return "-"
    largest = int(np.argmax(pair.shares))
    return f"{largest + 1}: {100 * pair.shares[largest] / pair.value:.0f} %"


def _notes(table: DriftTable) -> list[str]:
    notes = [
        "null 95 %: the quantile of values between two samples of one distribution; p: share of "
        "random splits of whole models, or inside each model that has layers in both groups, that "
        f"shift as much, corrected for {quantity(len(table.pairs), 'pair')}; most by: the component "
        "that adds most"
    ]
    single = sum(pair.p is None for pair in table.pairs)
    unable = sum(pair.p is not None and pair.smallest_p > ALPHA for pair in table.pairs)
    if table.question.matched:
        notes.append(
            f"only models that agree on {', '.join(table.question.matched)} change sides, for p"
        )
    if table.unknown:
        notes.append(f"{quantity(table.unknown, 'layer')} without a label: in no group")
    if unable:
        notes.append(f"{quantity(unable, 'pair')} of too few models for any p of {ALPHA} or less")
    if single and table.question.permutations:
        notes.append(
            f"{quantity(single, 'pair')} without p: judged by the sampling null alone, which says that "
            "these models differ, not that their kinds do"
        )
    return ["", *notes]
