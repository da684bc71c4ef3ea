"""The checkpoints of the zoo for a terminal, by the package that ships them."""

import itertools

from rich.table import Table

from ..zoo import Entry, Zoo


def zoo_text(entries: Zoo) -> Table:
    """Return one row a checkpoint under its package, for a terminal of 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("checkpoint", overflow="fold")
    table.add_column("task", overflow="fold")
    table.add_column("3x3 kernels", justify="right")
    for package, group in itertools.groupby(entries, key=lambda entry: entry.package):
        files = list(group)
        table.add_row(f"[bold]{package}[/bold] {files[0].version}", _terms(files[0]))
        for entry in files:
            table.add_row(f"  {entry.name}", entry.task, f"{entry.n_3x3_kernels:,}")
    return table


def _terms(entry: Entry) -> str:
    size = f"{entry.megabytes:g} MB" if entry.default else f"{entry.megabytes:g} MB, --all"
    return f"{entry.license}, {size}"
