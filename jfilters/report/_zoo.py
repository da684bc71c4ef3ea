"""The networks of the zoo for a terminal, by the package that ships them."""

import itertools
from collections.abc import Sequence

from rich.table import Table

from ..zoo import Entry, Zoo


def zoo_text(entries: Zoo) -> Table:
    """Return one row a network under its package, for a terminal of 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("network", overflow="fold")
    table.add_column("task", overflow="fold")
    table.add_column("3x3 kernels", justify="right")
    for package, group in itertools.groupby(entries, key=lambda entry: entry.package):
        networks = list(group)
        table.add_row(f"[bold]{package}[/bold] {networks[0].version}", _terms(networks))
        is_mixed = len({entry.default for entry in networks}) > 1
        for entry in networks:
            mark = " *" if is_mixed and not entry.default else ""
            table.add_row(f"  {_name(entry)}{mark}", entry.task, f"{entry.n_3x3_kernels:,}")
    return table


def _name(entry: Entry) -> str:
    """Return the name of a network, without the folder that is called like its package."""
    return entry.name.removeprefix(f"{entry.package.rpartition('/')[2]}/")


def _terms(networks: Sequence[Entry]) -> str:
    """Return the license of a package, its size, its registry, and what of it needs `--all`."""
    first, default = networks[0], [entry.default for entry in networks]
    terms = [first.license, f"{first.megabytes:g} MB"]
    terms += ["npm"] if first.source == "npm" else []
    terms += [] if all(default) else ["* --all"] if any(default) else ["--all"]
    return ", ".join(terms)
