"""The commands in one place; a new one is an import and a registration."""

from typing import Annotated

import typer

from ._axes import axes
from ._bundle import bundle
from ._check import check
from ._compare import compare
from ._console import out, report_errors
from ._convert import convert
from ._density import density
from ._drift import drift
from ._export import export
from ._figures import figures
from ._formats import formats
from ._inspect import inspect
from ._lineage import lineage
from ._merge import merge
from ._nearest import nearest
from ._phenotypes import phenotypes
from ._quality import quality
from ._report import report
from ._scan import scan
from ._trajectory import trajectory
from ._zoo import zoo

app = typer.Typer(
    help="Analyze trained convolution kernels: quality, drift, and what moved them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(scan)
app.command()(inspect)
app.command()(quality)
app.command()(drift)
app.command()(axes)
app.command()(compare)
app.command()(lineage)
app.command()(nearest)
app.command()(trajectory)
app.command()(phenotypes)
app.command()(figures)
app.command()(check)
app.command()(report)
app.command()(bundle)
app.command()(merge)
app.command()(convert)
app.command()(export)
app.command()(formats)
app.add_typer(density, name="density")
app.add_typer(zoo, name="zoo")


def _print_version(requested: bool) -> None:
    if requested:
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
    """Run the command of the command line, and exit with its code."""
    with report_errors():
        app()
