"""Numbers and words as the terminal shows them."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from ..scans.internal import BAD, HEALTHY, verdicts_text

_STYLES = {
    "healthy": "green",
    "too-few-kernels": "dim",
    "low-diversity": "yellow",
    "sparse": "yellow",
    "random-like": "red",
    "collapsed": "red",
    "all-zero": "bold red",
    "non-finite": "bold red",
}


LEGEND = f"bad: {', '.join(BAD)}; worth a look: sparse, low-diversity; too-few-kernels says nothing"
"""Of the verdicts."""


def plain_table() -> Table:
    """A table without lines, a space between its columns."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))


def count(value: int) -> str:
    """An integer with thousands separated."""
    return f"{value:,}"


def quantity(value: int, noun: str) -> str:
    """An integer and what it counts, in the right number."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def number(value: float | None, digits: int) -> str:
    """A number with fixed digits, a dash where it is undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def verdicts(counts: Mapping[str, int]) -> Text:
    """The layers of a model that are not healthy, in the color of the most worrying verdict."""
    return Text(verdicts_text(counts), _STYLES[next(iter(counts), HEALTHY)])


def verdict(label: str) -> Text:
    """A verdict in the color of its weight."""
    return Text(label, _STYLES[label])
