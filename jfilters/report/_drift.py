"""Drift along an axis for a terminal of 80 columns: groups, the matrix if it is small, and pairs."""

from collections import Counter

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..questions import DriftTable, Pair
from ..questions.internal import ALPHA, FEWEST, ruler_text, unit_in_words
from ..shift import METRICS
from ._cells import count, number, plain_table, quantity

MOST_PAIRS = 40  # of the pairs, the largest first; the rest is only in the file
LARGEST_MATRIX = 9  # groups; a wider matrix does not fit

MOST_INTERVALS = 6  # pairs of which the interval over units is shown; the file has all

_WORDS = {"shifted": "bold red", "within null": "green", "no test": "", "too few kernels": "dim"}


def drift_text(table: DriftTable) -> RenderableType:
    """Return the question, the groups with their sizes, the matrix, and the pairs with their labels."""
    parts: list[RenderableType] = [_head(table), "", _groups(table)]
    if table.within is None and len(table.labels) <= LARGEST_MATRIX:
        parts += ["", _matrix(table)]
    parts += ["", _pairs(table)]
    parts += map(Text, _intervals(table))
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
        f"{unit}{clean}{counted}\n{metric.direction}\n",
        _tested(table),
    )


def _tested(table: DriftTable) -> str:
    """Return what the test exchanges, and the least p that it can give."""
    units = f"{count(table.units)} units ({quantity(table.models, 'model')})"
    smallest = min((pair.smallest_p for pair in table.pairs if pair.p is not None), default=None)
    least = "" if smallest is None else f"; the smallest p of a pair is {smallest:.2g}"
    return f"{units}, a unit is {unit_in_words(table.unit)}{least}"


def _groups(table: DriftTable) -> Table:
    rows = plain_table()
    rows.add_column("", justify="right")
    rows.add_column(table.by, overflow="fold", ratio=1)
    for heading in ("units", "models", "layers", "kernels"):
        rows.add_column(heading, justify="right", overflow="fold")
    for i, (label, size) in enumerate(zip(table.labels, table.sizes, strict=True), 1):
        cells = map(count, (size.units, size.models, size.layers, size.kernels))
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
    for heading in ("value", "sampling 95 %", "D0", "U", "p"):
        rows.add_column(heading, justify="right", overflow="fold")
    rows.add_column("most by", overflow="fold")
    rows.add_column("", overflow="fold")
    for pair in _shown_pairs(table):
        rows.add_row(*_cells(pair))
    return rows


def _shown_pairs(table: DriftTable) -> list[Pair]:
    """Return the largest pairs; those of too few kernels come last, whatever their value."""
    order = sorted(table.pairs, key=lambda pair: (pair.is_of_few_kernels, -(pair.value or 0)))
    return order[:MOST_PAIRS]


def _intervals(table: DriftTable) -> list[str]:
    pairs = [pair for pair in table.pairs if pair.effect_low is not None]
    if not 0 < len(pairs) <= MOST_INTERVALS:
        return []
    return [
        f"U of {pair.first} and {pair.second}: {number(pair.effect, 3)}, 95 % over units "
        f"{number(pair.effect_low, 3)} to {number(pair.effect_high, 3)}"
        for pair in pairs
    ]


def _cells(pair: Pair) -> list[Text | str]:
    labels = [Text(x) for x in (pair.within, pair.first, pair.second) if x is not None]
    sampling_95 = None if pair.sampling_null is None else pair.sampling_null.quantile95
    label = Text(pair.label, _WORDS[pair.label])
    values = (pair.value, sampling_95, pair.debiased, pair.effect, pair.p_adjusted)
    numbers = [number(x, 3) for x in values]
    return [*labels, *numbers, _most(pair), label]


def _most(pair: Pair) -> str:
    """The component that adds most to the value, and the share of it."""
    if not pair.shares or not pair.value:
        return "-"
    largest = int(np.argmax(pair.shares))
    return f"{largest + 1}: {100 * pair.shares[largest] / pair.value:.0f} %"


def _notes(table: DriftTable) -> list[str]:
    notes = [
        "sampling 95 %: the quantile of values between two samples of one distribution; D0: the value less "
        "the mean of that null; U: drift between the populations of units, without sampling and scatter; "
        "p: population null, the share of relabelings of whole units that differ as much, corrected for "
        f"{quantity(len(table.pairs), 'pair')}; most by: the component that adds most"
    ]
    if table.metric == "drift":
        notes.append(ruler_text())
    if table.question.matched:
        notes.append(
            f"only units that agree on {', '.join(table.question.matched)} change sides, for p"
        )
    if table.unknown:
        notes.append(f"{quantity(table.unknown, 'layer')} without a label: in no group")
    return ["", *notes, *_untested(table), *table.warnings]


def _untested(table: DriftTable) -> list[str]:
    """Return why pairs have no p, or none that is small."""
    notes = []
    unable = [x for x in table.pairs if x.p is not None and x.smallest_p > ALPHA]
    if unable:
        pair = min(unable, key=lambda pair: pair.smallest_p)
        sizes = f"{count(pair.first_size.units)} units against {count(pair.second_size.units)}"
        more = f" ({len(unable)} such pairs)" if len(unable) > 1 else ""
        notes.append(f"{sizes} can give no p below {pair.smallest_p:.2g}{more}")
    if table.question.permutations:
        reasons = Counter(pair.reason for pair in table.pairs if pair.p is None and pair.reason)
        notes += [f"{quantity(n, 'pair')} without p: {reason}" for reason, n in reasons.items()]
    thin = [pair for pair in table.pairs if 0 < pair.thinned_to < FEWEST]
    if thin:
        least = min(pair.thinned_to for pair in thin)
        notes.append(
            f"for p, units were thinned to {count(least)} kernels, which leaves it little power"
        )
    return notes
