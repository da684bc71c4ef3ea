"""The formats that can be read, the names of their files, and the extra that some of them need."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from rich.table import Table
from rich.text import Text

from ..answers import Answer
from ..converters import FORMATS
from ..errors import install_command


class Formats(Answer):
    """The formats that can be read."""

    def record(self) -> list[dict[str, Any]]:
        """Return one record a format: name, reads, suffixes, extra, and whether what it needs is
        installed."""
        return [
            {
                "name": format.name,
                "reads": format.reads,
                "suffixes": list(format.suffixes),
                "extra": format.extra,
                "installed": format.extra is None or _is_installed(format.extra),
            }
            for format in FORMATS.values()
        ]


def formats_text(formats: Formats) -> Table:
    """Return the formats as a table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("format", no_wrap=True)
    table.add_column("reads", overflow="fold")
    table.add_column("suffixes", overflow="fold", max_width=23)
    table.add_column("needs", overflow="fold")
    for format in FORMATS.values():
        table.add_row(
            format.name,
            Text(format.reads),
            Text(" ".join(format.suffixes) or "-"),
            _needs(format.extra),
        )
    return table


def _needs(extra: str | None) -> Text:
    if extra is None:
        return Text("-")
    state = "installed" if _is_installed(extra) else install_command(extra)
    return Text(f"{extra}\n({state})")


def _is_installed(extra: str) -> bool:
    """Return True if every package is installed that jfilters declares for an extra."""
    declared = (line for line in requires("jfilters") or [] if f"extra == '{extra}'" in line)
    return all(_has(re.split(r"[^\w.-]", line)[0]) for line in declared)


def _has(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
