"""A table whose rows have names that are never broken: one that is too long stands on a line of its own."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

GAP = 1
"""Spaces between columns."""

LEAST_NAME = 28
"""Columns of a terminal that names get, before any column of numbers is left out."""

WIDEST_LAST = 24
"""Columns of a terminal for the last column, which is broken at its spaces."""


LEAST_LAST = 8
"""Columns of a terminal that the last column keeps."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: its heading, the side it stands on, and whether a narrow terminal does without it."""

    heading: str
    justify: Literal["left", "right"] = "right"
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class NamedTable:
    """Rows of a name and cells below headings, as wide as the terminal allows.

    - `heading`: that of the names; `columns`: the others, of which the last may take several lines.
    - `rows`: the name of each row, and its cells.
    - `before`: cells before each name, such as its number.
    """

    heading: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Sequence[Text]]]
    before: Sequence[str] = ()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the lines for a terminal of this width."""
        for line in self._lines(console, options.max_width):
            line.rstrip()
            yield line

    def _lines(self, console: Console, width: int) -> Iterator[Text]:
        indent = max((len(text) + GAP for text in self.before), default=0)
        shown, widths = self._fitting(width - indent)
        taken = sum(size + GAP for size in widths)
        longest = max([len(self.heading), *(len(name) for name, _ in self.rows)], default=0)
        room = max(len(self.heading), min(longest, width - indent - taken))
        head = Text(" " * indent + self.heading.ljust(room), "bold", no_wrap=True)
        for place, size in zip(shown, widths, strict=True):
            head.append(
                " " * GAP + _aligned(self.columns[place], self.columns[place].heading, size)
            )
        yield head
        before = self.before or [""] * len(self.rows)
        for (name, cells), mark in zip(self.rows, before, strict=True):
            start = mark.rjust(indent - GAP) + " " * GAP if indent else ""
            if len(name) > room:
                yield Text(start + cut_name(name, width - indent), no_wrap=True)
                if not any(cells):
                    continue
                start, name = " " * indent, ""
            yield from self._row(console, start + name.ljust(room), cells, shown, widths)

    def _row(
        self,
        console: Console,
        start: str,
        cells: Sequence[Text],
        shown: Sequence[int],
        widths: Sequence[int],
    ) -> Iterator[Text]:
        line, further = Text(start, no_wrap=True), []
        for place, size in zip(shown, widths, strict=True):
            cell = cells[place]
            if place == shown[-1] and cell.cell_len > size:
                cell, *further = cell.wrap(console, size)
                cell.rstrip()
            spaces = " " * max(0, size - cell.cell_len)
            is_right = self.columns[place].justify == "right"
            line.append(" " * GAP + (spaces if is_right else ""))
            line.append_text(cell)
            line.append("" if is_right else spaces)
        yield line
        blank = len(start) + sum(size + GAP for size in widths[:-1]) + GAP
        for part in further:
            part.rstrip()
            yield Text(" " * blank, no_wrap=True).append_text(part)

    def _fitting(self, width: int) -> tuple[list[int], list[int]]:
        """Return the places of the columns that fit beside the names, and their widths."""
        sizes = [self._size(place) for place in range(len(self.columns))]
        shown = list(range(len(self.columns)))
        longest = max((len(name) for name, _ in self.rows), default=0)
        spare = width - longest - sum(size + GAP for size in sizes[:-1]) - GAP
        sizes[-1] = min(sizes[-1], max(WIDEST_LAST, spare))
        names = max(len(self.heading), min(longest, LEAST_NAME))
        optional = [place for place in shown if self.columns[place].optional]
        while optional and names + sum(sizes[place] + GAP for place in shown) > width:
            shown.remove(optional.pop())
        widths = [sizes[place] for place in shown]
        over = len(self.heading) + sum(size + GAP for size in widths) - width
        return shown, [*widths[:-1], max(LEAST_LAST, widths[-1] - max(0, over))]

    def _size(self, place: int) -> int:
        cells = [cells[place].cell_len for _, cells in self.rows]
        return max([len(self.columns[place].heading), *cells])


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Lines of prose with names, which are broken between words alone."""

    lines: Sequence[str]
    style: str = ""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the lines; a name longer than the terminal loses its middle."""
        for line in self.lines:
            words = [cut_name(word, options.max_width) for word in line.split(" ")]
            yield Text(" ".join(words), self.style)


def cut_name(name: str, width: int) -> str:
    """Return a name, with its middle left out where it is longer than `width`."""
    if len(name) <= width:
        return name
    end = (width - 3) // 2
    return f"{name[: width - 3 - end]}...{name[len(name) - end :]}"


def _aligned(column: Column, text: str, size: int) -> str:
    return text.rjust(size) if column.justify == "right" else text.ljust(size)
