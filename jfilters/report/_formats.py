"""What can be read: the formats, how their files are called, and the extra that some of them need."""

import re
from importlib.metadata import PackageNotFoundError, requires, version

from rich.table import Table
from rich.text import Text

from ..converters import FORMATS


def describe_formats() -> list[dict[str, object]]:
    """One record a format: name, reads, suffixes, extra, and whether what it needs is installed."""
    return [
        {
            "name": known.name,
            "reads": known.reads,
            "suffixes": list(known.suffixes),
            "extra": known.extra,
            "installed": known.extra is None or _is_installed(known.extra),
        }
        for known in FORMATS.values()
    ]


def formats_text() -> Table:
    """The same as a table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("format", no_wrap=True)
    table.add_column("reads", overflow="fold")
    table.add_column("suffixes", overflow="fold", max_width=23)
    table.add_column("needs", overflow="fold")
    for known in FORMATS.values():
        table.add_row(
            known.name,
            Text(known.reads),
            Text(" ".join(known.suffixes) or "-"),
            _needs(known.extra),
        )
    return table


def _needs(extra: str | None) -> Text:
    if extra is None:
        return Text("-")
    state = "installed" if _is_installed(extra) else f"pip install 'jfilters[{extra}]'"
    return Text(f"{extra}\n({state})")


def _is_installed(extra: str) -> bool:
    """Whether every package is installed that jfilters declares for an extra."""
    declared = (line for line in requires("jfilters") or [] if f"extra == '{extra}'" in line)
    return all(_has(re.split(r"[^\w.-]", line)[0]) for line in declared)


def _has(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
