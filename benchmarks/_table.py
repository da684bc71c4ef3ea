"""Rows as a table, for a terminal and for Markdown."""

from rich.console import Console
from rich.table import Table

from ._timing import Row

HEAD = ("work", "against", "jfilters", "peer", "ratio", "target", "met")
ALIGN = ("---", "---", "---:", "---:", "---:", "---", "---")


def terminal(rows: list[Row]) -> None:
    """Print the rows and their notes."""
    table = Table(*HEAD, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*cells(row))
    console = Console()
    console.print(table)
    for line in notes(rows):
        console.print(line)


def markdown(rows: list[Row], machine: dict[str, object]) -> str:
    """The rows under a line on the machine, and their notes below."""
    described = ", ".join(f"{key} {value}" for key, value in machine.items())
    lines = [f"| {' | '.join(line)} |" for line in (HEAD, ALIGN, *map(cells, rows))]
    paragraphs = [
        f"One run of `make bench` ({described}).",
        "Both sides warm, timed in turn; medians, and the median ratio of the pairs.",
        "\n".join(lines),
        "\n".join(notes(rows)),
    ]
    return "\n\n".join(paragraphs) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """One row as text."""
    met = {None: "", True: "yes", False: "no"}[row.met]
    return (
        row.work,
        row.peer,
        _time(row.ours),
        _time(row.theirs),
        _ratio(row.ratio),
        _target(row),
        met,
    )


def notes(rows: list[Row]) -> list[str]:
    """What has to be said of single rows."""
    return [f"- {row.work}, {row.peer}: {row.note}." for row in rows if row.note]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1e3 * seconds:.1f} ms" if seconds < 0.1 else f"{seconds:,.2f} s"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    if ratio < 1:
        return f"1/{1 / ratio:.1f}"
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.1f}x"


def _target(row: Row) -> str:
    if row.least_ratio is not None:
        least = row.least_ratio
        return f">= {least:,.0f}x" if least >= 1 else f"within {1 / least:.0f}x"
    return "" if row.most_seconds is None else f"<= {row.most_seconds:.0f} s"
