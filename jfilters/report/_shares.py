"""The plan of a scan for a terminal: one row a process, and what it does not read."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..engine.internal import PlannedScan
from ._cells import count, number, plain_table, quantity

MOST_NAMES = 20
"""Names of ignored files that are shown."""


def planned_text(planned: PlannedScan) -> RenderableType:
    """Return the job, the share of each process, and what is ignored, too large or cached."""
    record = planned.record()
    totals = record["totals"]
    megabytes, minutes = number(totals["bytes"] / 1e6, 1), number(planned.minutes, 1)
    checkpoints = quantity(totals["checkpoints"], "checkpoint")
    parts: list[RenderableType] = [
        Text(f"{planned.job}: {checkpoints}, {megabytes} MB, about {minutes} minutes", "bold"),
        Text(f"at {planned.rate:g} MB/s a process, an assumption; nothing was read"),
        "",
        _table(planned),
    ]
    if totals["cached"]:
        cached = quantity(totals["cached"], "checkpoint")
        parts.append(Text(f"the cache of this machine holds {cached}, which are not read again"))
    parts += _names("larger than --max-bytes", planned.refused)
    below = [name.removeprefix(f"{planned.checkpoints}/") for name in planned.ignored]
    parts += _names("ignored, no checkpoint", below)
    return Group(*parts)


def _table(planned: PlannedScan) -> Table:
    table = plain_table()
    for heading in ("process", "checkpoints", "MB", "cached", "minutes"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    table.add_column("reads", overflow="fold")
    for row, share in zip(planned.rows(), planned.shares, strict=True):
        table.add_row(
            str(row["process"]),
            count(row["checkpoints"]),
            number(row["bytes"] / 1e6, 1),
            count(row["cached"]),
            number(row["minutes"], 1),
            Text(_in_short(share.models)),
        )
    return table


def _in_short(models: Sequence[str]) -> str:
    """Return the first names, and the number of all that follow; JSON has them all."""
    more = len(models) - 2
    return ", ".join(models[:2]) + (f" and {count(more)} more" if more > 0 else "")


def _names(title: str, names: Sequence[str]) -> list[Text]:
    if not names:
        return []
    lines = [f"{title}: {count(len(names))}", *(f"  {name}" for name in names[:MOST_NAMES])]
    if len(names) > MOST_NAMES:
        lines.append(f"  and {quantity(len(names) - MOST_NAMES, 'more name')}")
    return [Text(line) for line in lines]
