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
from ._group import Command, Group
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
    cls=Group,
    help="Analyze trained convolution kernels: quality, drift, and what moved them.",
    epilog="Begin with: jfilters scan DIR --open",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_GROUPS = {
    "Scan": {
        scan: "Measure a folder of checkpoints and print a summary.",
        inspect: "Show the layers of one checkpoint, and what was skipped.",
    },
    "Ask a scan": {
        quality: "Which layers are degenerate, and what could be pruned.",
        drift: "How far the groups of an axis are apart.",
        axes: "Which axes shift kernels most.",
        trajectory: "How kernels move over the steps of a run.",
        phenotypes: "The shapes of the distributions of kernels.",
        density: "Learned densities of kernels, beyond histograms.",
    },
    "Compare": {
        compare: "How checkpoints are related, pair by pair, with reasons.",
        lineage: "Which checkpoints are kin, and who came from whom.",
        nearest: "The models nearest to a checkpoint.",
        check: "Test a scan against rules, for CI.",
    },
    "Share": {
        report: "Write one page with all answers.",
        figures: "Draw the figures of a paper.",
        bundle: "Write a scan as one small file.",
        merge: "Merge scans and bundles into one.",
        export: "Write kernels for other tools.",
    },
    "Tools": {
        convert: "Write any checkpoint as uniform kernels.",
        formats: "List the formats that can be read.",
        zoo: "List and fetch real networks to try.",
    },
}
"""The groups of commands as help shows them, with one line each of at most 64 characters."""

for _group, _commands in _GROUPS.items():
    for _command, _line in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, short_help=_line, rich_help_panel=_group)
        else:
            app.command(cls=Command, short_help=_line, rich_help_panel=_group)(_command)


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
        app(prog_name="jfilters")
