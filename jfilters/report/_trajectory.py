"""The runs of a scan along their steps, for a terminal of 80 columns."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..questions import Trajectory
from ..questions.internal import SETTLED
from ._cells import count, number, plain_table

BAR = 12  # characters


def trajectory_text(runs: Sequence[Trajectory]) -> RenderableType:
    """Return every run with its quality and its drift step by step, and the step where it settled."""
    parts: list[RenderableType] = []
    for run in runs:
        parts += [Text(run.run, "bold"), _points(run), _settled(run), ""]
    return Group(
        *parts, Text("S, H/T and O as in `jfilters scan`; D in nats, the bar is D to last")
    )


def _points(run: Trajectory) -> Table:
    table = plain_table()
    for heading in ("step", "S", "H/T", "O", "degenerate", "D to previous", "first", "last"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", width=BAR, no_wrap=True)
    largest = max(point.last for point in run.points) or 1
    for point in run.points:
        table.add_row(
            str(point.step),
            number(point.sparsity, 3),
            number(point.variance_entropy_ratio, 2),
            number(point.orthogonality, 2),
            count(point.n_degenerate),
            *(number(value, 4) for value in (point.previous, point.first, point.last)),
            "█" * round(BAR * point.last / largest),
        )
    return table


def _settled(run: Trajectory) -> Text:
    if run.settled is None:
        return Text("never moved beyond the null")
    what = f"from there on within {SETTLED:.0%} of the whole way, or the null, of the last step"
    return Text(f"settled at step {run.settled}: {what}")
