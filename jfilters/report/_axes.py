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
        f"{table.question.metric} ({metric.unit}) over all pairs of groups; small: groups of fewer than "
        f"{FEWEST} kernels, which are left out; null and p: the mean of the median, and how often it is "
        "as large, with the labels permuted among whole models, or among layers inside each model, "
        f"{_matched(table)}or with all groups drawn from one distribution, by the null of the larger "
        "p; p is not corrected for the number of axes"
    )
    left_out = [Text(f"{axis}: left out, {why}", "dim") for axis, why in table.left_out.items()]
    return Group(rows, "", note, *left_out)


def _matched(table: AxisTable) -> str:
    if not table.question.matched:
        return ""
    return f"only among those that agree on {', '.join(table.question.matched)}, "
