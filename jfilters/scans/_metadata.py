"""Facts about models beside their weights: a table of the user's own, joined by name or glob.

Read from CSV, Parquet or TOML; one row a model, or a glob for many of them.
"""

import csv
import dataclasses
import datetime
import fnmatch
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from .._bounds import file_allowance, read_toml
from ..errors import CheckpointError, UnreadableError, system_reason
from ._parquet import read_parquet

Cell = int | float | bool | str | None
_CELL, _NAMED = 64, 5  # bytes of a cell as a Python object; names in a message
MOST_COLUMNS = 10_000
"""Columns of a table; the time to join them grows with their square."""

KEYS = ("model", "name")
"""Columns that may hold the names or globs of models, the first that is there; else the first column."""


@dataclasses.dataclass(frozen=True)
class MetadataTable:
    """Rows of a table of metadata as they were read, before they are joined to the models of a scan.

    - `path`: the file, for messages.
    - `keys`: the name or glob of each row.
    - `columns`: one list of values a column, in the order of the rows. A value is an int, a float, a bool
      or a text; None where a cell is empty.
    """

    path: Path
    keys: tuple[str, ...]
    columns: dict[str, list[Any]]


@dataclasses.dataclass(frozen=True)
class Joined:
    """Columns of a table joined to models: one value a model, None where the table has none."""

    columns: dict[str, list[Any]]
    unmatched_rows: tuple[str, ...]
    unmatched_models: tuple[str, ...]


def read_metadata(path: Path | str) -> MetadataTable:
    """The table in a CSV, Parquet or TOML file, by its suffix.

    A CSV has a header; a column of which every cell that is not empty is a number, or true or false,
    becomes one of those (codes with leading zeros stay text). A TOML file has one table a model, its key
    the quoted name: `["resnet*.pth"]`. Dates become text.

    Raises CheckpointError, naming the file and the remedy; UnreadableError if there is no such file.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise _wrong(path, f"expected a table of metadata in {', '.join(_READERS)}")
    try:
        table = read(path)
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a table of metadata, got: {reason}", path=path) from error
    except CheckpointError:
        raise
    except (ValueError, csv.Error, pa.ArrowException) as error:
        kind = path.suffix.lower().lstrip(".")
        raise _wrong(path, f"expected a {kind} file, got: {error}") from error
    _check_keys(table)
    return table


def join_metadata(models: Sequence[str], table: MetadataTable) -> Joined:
    """Look every model up in the table.

    A key that is the name of a model is that model's alone; any other is a glob on whole names, in
    which * crosses /. Where several rows match a model each column takes the last value that is not empty,
    globs in the order of the file and the row with the exact name after them.
    """
    unique = set(models)
    exact = {key: row for row, key in enumerate(table.keys) if key in unique}
    globs = [(row, _glob(key)) for row, key in enumerate(table.keys) if key not in unique]
    rows = {model: [row for row, matches in globs if matches(model)] for model in unique}
    for model, row in exact.items():
        rows[model].append(row)
    matched = {row for places in rows.values() for row in places}
    return Joined(
        {
            name: [_last_value(values, rows[model]) for model in models]
            for name, values in table.columns.items()
        },
        tuple(key for row, key in enumerate(table.keys) if row not in matched),
        tuple(model for model in dict.fromkeys(models) if not rows[model]),
    )


def typed_column(values: list[Any]) -> pa.Array:
    """Return values as an Arrow column: of numbers if all are, else of texts."""
    try:
        column = pa.array(values)
    except (pa.ArrowException, OverflowError):
        column = pa.array([None if value is None else str(value) for value in values])
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _last_value(values: list[Any], rows: list[int]) -> Cell:
    return next((values[row] for row in reversed(rows) if values[row] is not None), None)


def _glob(key: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(key)).match


def _read_csv(path: Path) -> MetadataTable:
    allowance = file_allowance(path)
    with path.open("rb") as file:
        text = file.read(allowance.most)
    allowance.draw(2 * len(text) + _CELL * (text.count(b",") + text.count(b"\n")), "its cells")
    with io.TextIOWrapper(io.BytesIO(text), encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        _check_header(path, header)
        rows = [_checked(path, lines.line_num, row, len(header)) for row in lines if row]
    cells = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    keys = cells.pop(_key_column(header))
    return MetadataTable(path, tuple(keys), {name: _typed(cells[name]) for name in cells})


def _read_parquet(path: Path) -> MetadataTable:
    stored = read_parquet(path)
    _check_header(path, stored.column_names)
    columns = {
        name: _plain_column(path, stored[name].to_pylist(), name) for name in stored.column_names
    }
    keys = ["" if key is None else str(key) for key in columns.pop(_key_column(list(columns)))]
    return MetadataTable(path, tuple(keys), columns)


def _read_toml(path: Path) -> MetadataTable:
    tables = read_toml(path, "a table of metadata")
    for key, row in tables.items():
        if not isinstance(row, dict):
            raise _wrong(path, f"expected one table a model, found {key} = {row!r}")
        for name, value in row.items():
            if isinstance(value, dict):
                remedy = f'quote the name of the model: ["{key}.{name}"]'
                raise _wrong(path, f"expected values in the table {key}, found a table", remedy)
    names = dict.fromkeys(name for row in tables.values() for name in row)
    if len(names) > MOST_COLUMNS:
        raise _wrong(path, f"expected at most {MOST_COLUMNS:,} names, found {len(names):,}")
    # A row may have names that no other has: the table then is far larger than its text.
    file_allowance(path).draw(len(names) * len(tables) * _CELL, "its cells")
    columns = {
        name: _plain_column(path, [row.get(name) for row in tables.values()], name)
        for name in names
    }
    return MetadataTable(path, tuple(tables), columns)


def _key_column(header: Sequence[str]) -> str:
    return next((name for name in KEYS if name in header), header[0])


def _typed(cells: list[str]) -> list[Cell]:
    """The cells of a CSV column as the plainest type that holds all of them."""
    texts = [cell for cell in cells if cell]
    read = next((read for pattern, read in _TYPES if all(map(pattern.fullmatch, texts))), str)
    return [read(cell) if cell else None for cell in cells]


def _plain_column(path: Path, values: Iterable[object], name: str) -> list[Cell]:
    return [_plain(path, value, name) for value in values]


def _plain(path: Path, value: object, name: str) -> Cell:
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, int | float | bool | str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    reason = f"expected numbers, texts, true or false in {name!r}, found a {type(value).__name__}"
    raise _wrong(path, reason)


def _checked(path: Path, line: int, row: list[str], cells: int) -> list[str]:
    if len(row) != cells:
        reason = f"expected {cells} cells in line {line}, found {len(row)}"
        raise _wrong(path, reason, "quote cells that hold a comma")
    return [cell.strip() for cell in row]


def _check_header(path: Path, header: list[str]) -> None:
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if not header or not all(header):
        raise _wrong(path, "expected a header that names every column")
    if twice:
        names = ", ".join(twice[:_NAMED])
        raise _wrong(path, f"expected a name a column, found {names} twice")
    if len(header) > MOST_COLUMNS:
        raise _wrong(path, f"expected at most {MOST_COLUMNS:,} columns, found {len(header):,}")
    if len(header) == 1:
        remedy = "name the model in the first column, separate columns by commas"
        raise _wrong(path, f"expected two columns or more, found {header[0]!r}", remedy)


def _check_keys(table: MetadataTable) -> None:
    if not table.keys:
        raise _wrong(table.path, "expected one row a model, found none")
    if not all(table.keys):
        raise _wrong(table.path, "expected a name in every row, found none in one")
    earlier: set[str] = set()
    for key in table.keys:
        if key in earlier:
            raise _wrong(table.path, f"expected one row for {key!r}, found two", "merge them")
        earlier.add(key)


def _wrong(path: Path, reason: str, remedy: str | None = None) -> CheckpointError:
    fallback = "its first column has names or globs of models, the others hold values"
    return CheckpointError(reason, path=path, remedy=remedy or fallback)


_READERS: dict[str, Callable[[Path], MetadataTable]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".toml": _read_toml,
}
# Digits in one way alone: `\d+\.?\d*` would try all splits of a long number that ends in a letter.
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
_TYPES: tuple[tuple[re.Pattern[str], Callable[[str], Cell]], ...] = (
    # Without leading zeros, and within 64 bits.
    (re.compile(r"[+-]?(0|[1-9]\d{0,17})", re.ASCII), int),
    (re.compile(rf"(?![+-]?0\d){_NUMBER}", re.ASCII), float),
    (re.compile(r"true|false", re.ASCII | re.IGNORECASE), lambda cell: cell.lower() == "true"),
)
