"""Small HTML tables for notebooks: every text is escaped, and what is long folds away."""

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
