"""The axes by how much they shift kernels, for a terminal of 80 columns."""

from rich.console import Group, RenderableType
from rich.text import Text

from ..questions import AxisTable
from ..questions.internal import FEWEST
from ..shift import METRICS
from ._cells import number, plain_table


def axes_text(table: AxisTable) -> RenderableType:
    """Return one row an axis, the largest median first, and the axes left out with their reasons."""
    metric = METRICS[table.question.metric]
    rows = plain_table()
    rows.add_column("axis", overflow="fold")
    for heading in ("groups", "small", "median", "null", "mean", "max", "p"):
        rows.add_column(heading, justify="right", overflow="fold")
    rows.add_column("furthest apart", overflow="fold", ratio=1)
    for row in table.axes:
        rows.add_row(
            Text(row.axis),
            str(row.groups),
            str(row.small),
            *(
                number(value, 3)
                for value in (row.median, row.null_mean, row.mean, row.maximum, row.p)
            ),
            Text(" | ".join(row.furthest)),
        )
    note = Text(
        f"{table.question.metric} ({metric.unit}) over all pairs of groups. small: groups of fewer than "
        f"{FEWEST} kernels, which are left out. null: the mean of the median under the null; p: the share "
        "of nulls that are as large. Two nulls are tested: labels permuted among whole models, or among "
        f"layers inside each model{_matched(table)}; and all groups drawn from one distribution. The one "
        "of the larger p is shown. p is not corrected for the number of axes"
    )
    left_out = [Text(f"{axis}: left out, {why}", "dim") for axis, why in table.left_out.items()]
    return Group(rows, "", note, *left_out)


def _matched(table: AxisTable) -> str:
    if not table.question.matched:
        return ""
    return f", only where {', '.join(table.question.matched)} agree"
