"""The commands in one place; a new one is an import and a registration."""

from typing import Annotated

import typer

from ._console import out, report_errors
from ._convert import convert
from ._export import export
from ._formats import formats
from ._inspect import inspect
from ._scan import scan
from ._zoo import zoo

app = typer.Typer(
    help="Functional analysis of trained convolution kernels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.command()(scan)
app.command()(inspect)
app.command()(formats)
app.command()(convert)
app.command()(export)
app.add_typer(zoo, name="zoo")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print(version("jfilters"), highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that the command line asks for, and exit with its code."""
    with report_errors():
        app()
