"""The axes by how much they shift kernels, for a terminal of 80 columns."""

from rich.console import Group, RenderableType
from rich.text import Text

from ..questions import AxisTable
from ..questions.internal import ALPHA, FEWEST, unit_in_words
from ..shift import METRICS
from ._cells import count, number, plain_table, quantity


def axes_text(table: AxisTable) -> RenderableType:
    """Return one row an axis, the largest median first, and the axes left out with their reasons."""
    metric = METRICS[table.question.metric]
    rows = plain_table()
    rows.add_column("axis", overflow="fold")
    for heading in ("groups", "units", "median", "D0", "max", "p"):
        rows.add_column(heading, justify="right", overflow="fold")
    rows.add_column("furthest apart", overflow="fold", ratio=1)
    for row in table.axes:
        rows.add_row(
            Text(row.axis),
            str(row.groups),
            str(row.units),
            *(number(value, 3) for value in (row.median, row.debiased, row.maximum, row.p)),
            Text(" | ".join(row.furthest)),
        )
    note = Text(
        f"{table.question.metric} ({metric.unit}) over all pairs of groups; D0: the median of values less "
        "the mean of their sampling null, by which axes are sorted; p: population null, the share of "
        f"relabelings of whole units{_matched(table)} that differ as much over all groups. The scan "
        f"has {count(table.units)} units ({quantity(table.models, 'model')}), a unit is "
        f"{unit_in_words(table.unit)}. p is not corrected for the number of axes"
    )
    notes = [Text(line) for line in _limits(table)]
    left_out = [Text(f"{axis}: left out, {why}", "dim") for axis, why in table.left_out.items()]
    return Group(rows, "", note, *notes, *left_out)


def _limits(table: AxisTable) -> list[str]:
    """Return what each axis' numbers leave out, and what limits its test."""
    lines = []
    for row in table.axes:
        if row.small:
            few = quantity(row.small, "group")
            lines.append(f"{row.axis}: {few} of fewer than {FEWEST} kernels left out")
        if row.few:
            pairs = quantity(row.few, "pair")
            lines.append(f"{row.axis}: {pairs} of too few kernels to be read, left out of D and D0")
        if row.p is None and row.reason:
            lines.append(f"{row.axis}: no p: {row.reason}")
        elif row.smallest_p > ALPHA:
            lines.append(f"{row.axis}: {row.units} units can give no p below {row.smallest_p:.2g}")
        lines += [f"{row.axis}: {warning}" for warning in row.warnings]
    return lines


def _matched(table: AxisTable) -> str:
    if not table.question.matched:
        return ""
    return f", only where {', '.join(table.question.matched)} agree"
