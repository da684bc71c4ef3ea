"""Tables as CSV files, whole or not at all."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_csv(file: Path) -> list[dict[str, str]]:
    """The rows by the names in the header, everything as text."""
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def write_csv(file: Path, rows: Sequence[dict[str, Any]]):
    """The rows under the names of the first one; nothing if there is no row."""
    if not rows:
        return
    temporary = file.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(file)
