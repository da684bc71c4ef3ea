"""Small HTML tables for notebooks: every text is escaped, and what is long folds away."""

import hashlib
import html
from collections.abc import Iterable, Sequence

SHOWN = 20
"""Rows of a table that are seen at once; the others unfold."""


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "") -> str:
    """A table under a caption: numbers are aligned to the right, and rows past `SHOWN` fold away."""
    shown = _table(head, rows[:SHOWN], caption)
    if len(rows) <= SHOWN:
        return shown
    return shown + folded(f"{len(rows) - SHOWN:,} more", _table(head, rows[SHOWN:], ""))


def styled(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    styles: Sequence[Sequence[str]],
    *,
    caption: str = "",
) -> str:
    """The same with a CSS declaration a cell, by the styler of pandas; plain without the extra [plot]."""
    try:
        from pandas import DataFrame
        from pandas.io.formats.style import Styler
    except ImportError:  # without pandas, or without jinja2
        return table(head, rows, caption=caption)
    cells = [[_shown(cell) for cell in row] for row in rows[:SHOWN]]
    # The columns are places: two groups may have one name.
    frame, looks = DataFrame(cells), DataFrame([list(row) for row in styles[:SHOWN]])
    # Equal tables are equal text.
    name = hashlib.sha256(repr((head, cells)).encode()).hexdigest()[:8]
    styler = Styler(frame, uuid=name, cell_ids=False, caption=html.escape(caption))
    styler = styler.apply(lambda _: looks, axis=None).hide(axis="index")
    titles = {place: html.escape(title) for place, title in enumerate(head)}
    styler.format_index(lambda place: titles[place], axis="columns")
    shown = styler.to_html()
    if len(rows) <= SHOWN:
        return shown
    return shown + folded(f"{len(rows) - SHOWN:,} more", _table(head, rows[SHOWN:], ""))


def shade(share: float) -> str:
    """The CSS of a cell whose value is this share of the largest; legible on a light and a dark ground."""
    return f"text-align:right;background-color:rgba(0,114,178,{0.55 * min(max(share, 0), 1):.2f})"


def folded(summary: str, inner: str) -> str:
    """A line of text that unfolds to `inner`, which is HTML."""
    return f"<details><summary>{html.escape(summary)}</summary>{inner}</details>"


def paragraph(text: str) -> str:
    """One paragraph of text."""
    return f"<p>{html.escape(text)}</p>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    sides = [
        "right" if all(_is_number(row[i]) for row in rows) else "left" for i in range(len(head))
    ]
    body = "".join(_row("td", row, sides) for row in rows)
    heading = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{heading}<thead>{_row('th', head, sides)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Iterable[object], sides: Iterable[str]) -> str:
    shown = (
        f'<{tag} style="text-align:{side}">{_shown(cell)}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.3g}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return html.escape(str(cell))


def _is_number(cell: object) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))
