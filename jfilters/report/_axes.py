"""Which axis shifts kernels most, for a terminal of 80 columns."""

from rich.console import Group, RenderableType
from rich.text import Text

from ..analysis import FEWEST, AxisTable
from ..shift import METRICS
from ._cells import number, plain_table


def axes_text(table: AxisTable) -> RenderableType:
    """One row an axis, the largest median first, and the axes left out with their reasons."""
    metric = METRICS[table.metric]
    rows = plain_table()
    rows.add_column("axis", overflow="fold")
    for heading in ("groups", "small", "median", "mean", "max", "p"):
        rows.add_column(heading, justify="right", overflow="fold")
    rows.add_column("furthest apart", overflow="fold", ratio=1)
    for row in table.rows:
        rows.add_row(
            Text(row.axis),
            str(row.groups),
            str(row.small),
            *(number(value, 3) for value in (row.median, row.mean, row.maximum, row.smallest_p)),
            Text(" | ".join(row.furthest)),
        )
    note = Text(
        f"{table.metric} ({metric.unit}) over all pairs of groups; small: groups of fewer than "
        f"{FEWEST} kernels, which are left out; p: the smallest of all pairs, from random splits of "
        "whole models or inside each model, corrected for the number of pairs, where they are few "
        "enough for it to tell"
    )
    left_out = [Text(f"{axis}: left out, {why}", "dim") for axis, why in table.left_out.items()]
    return Group(rows, "", note, *left_out)
