"""The rows of an answer as CSV, for programs: one header, one line a row.

Text is data and stays as it is, formulas of spreadsheets too; only control characters are escaped.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import printable


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Records as CSV, quoted by RFC 4180, with lines that end as those of other files here do.

    Columns are the keys in the order in which they come up. A record in a record becomes columns with a
    dot ("null.mean"), a list is one cell of JSON, and numbers, true and false are as JSON has them. What
    is not known is empty. Without rows there is no header either.
    """
    flat = [dict(_flat(row)) for row in rows]
    if not flat:
        return ""
    columns = _columns(flat)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(map(printable, columns))
    lines.writerows([_cell(row.get(name)) for name in columns] for row in flat)
    return text.getvalue()


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """Every name once; not that of a record which is None in some rows, where others tell its parts."""
    names = dict.fromkeys(name for row in rows for name in row)
    records = {name[:place] for name in names for place, c in enumerate(name) if c == "."}
    empty = {name for name in records if all(row.get(name) is None for row in rows)}
    return [name for name in names if name not in empty]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
