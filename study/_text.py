"""Texts of results: every number in them is looked up in a table, and every claim is checked there.

In a template a query stands in double braces. A cell is TABLE COLUMN=VALUE ... COLUMN:FORMAT, one row of
the table; `count TABLE COLUMN=VALUE ...` are its rows; `table TABLE COLUMN:FORMAT ... COLUMN=VALUE ...` is
the table itself. `check A < B` leaves nothing, and ends the writing if it is not so; A and B are cells,
counts or numbers.
"""

import operator
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from ._csv import read_csv

Tables = dict[str, list[dict[str, str]]]

_QUERY = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
_COMPARED = re.compile(r"\s(<=|>=|<|>)\s")
_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ClaimError(ValueError):
    """A claim of the text that the tables contradict, or a query that they cannot answer."""


def write_text(out: Path, template: Path):
    """Write README.md from a template and the tables in a folder.

    Raises ClaimError naming the query that has no answer, or the claim that does not hold.
    """
    tables = {file.stem: read_csv(file) for file in sorted(out.glob("*.csv"))}
    text = template.read_text(encoding="utf-8")
    filled = _QUERY.sub(lambda match: _answer(" ".join(match[1].split()), tables), text)
    # A line that held nothing but checks leaves no gap.
    (out / "README.md").write_text(re.sub(r"\n{3,}", "\n\n", filled), encoding="utf-8")


def _answer(query: str, tables: Tables) -> str:
    kind, _, terms = query.partition(" ")
    if kind == "check":
        return _checked(terms, tables)
    if kind == "table":
        return _table(terms, tables)
    if kind == "count":
        return f"{len(_rows(terms, tables)[0]):,}"
    return _cell(query, tables)


def _checked(claim: str, tables: Tables) -> str:
    parts = _COMPARED.split(claim)
    if len(parts) != 3:
        raise ClaimError(f"expected a claim such as `axes axis=task p < 0.05`, got: {claim}")
    first, relation, second = parts
    values = _number(first, tables), _number(second, tables)
    if not _RELATIONS[relation](*values):
        raise ClaimError(
            f"the text claims {claim}, the tables say {values[0]:g} and {values[1]:g}; "
            "correct the template there"
        )
    return ""


def _number(query: str, tables: Tables) -> float:
    try:
        return float(query)
    except ValueError:
        return float(_answer(query, tables).replace(",", ""))


def _cell(query: str, tables: Tables) -> str:
    rows, columns = _rows(query, tables)
    if len(rows) != 1 or len(columns) != 1:
        raise ClaimError(
            f"expected one row and one column, found {len(rows)} and {len(columns)}: {query}"
        )
    return _formatted(rows[0], columns[0], query)


def _table(query: str, tables: Tables) -> str:
    rows, columns = _rows(query, tables)
    head = [column.partition(":")[0].replace("_", " ") for column in columns]
    lines = [head, ["---"] * len(head)]
    lines += [[_formatted(row, column, query) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(query: str, tables: Tables) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows that a query selects, and its columns, each with its format."""
    name, *terms = shlex.split(query)
    if name not in tables:
        raise ClaimError(f"expected one of the tables {sorted(tables)}, got {name}: {query}")
    values = dict(term.split("=", 1) for term in terms if "=" in term)
    columns = [term for term in terms if "=" not in term]
    if unknown := {*values, *(x.partition(":")[0] for x in columns)} - {*tables[name][0]}:
        raise ClaimError(f"{name}.csv has no column {', '.join(sorted(unknown))}: {query}")
    rows = [row for row in tables[name] if all(row[key] == values[key] for key in values)]
    return rows, columns


def _formatted(row: dict[str, str], column: str, query: str) -> str:
    name, _, form = column.partition(":")
    text = row[name].replace("|", "/")
    if not form or not text:
        return text or "-"
    try:
        return format(float(text), form)
    except ValueError:
        raise ClaimError(f"expected a number in {name}, got {text!r}: {query}") from None
