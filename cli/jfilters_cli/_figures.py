"""`jfilters figures SCAN --to DIR`: draw the figures of a scan for a paper."""

from typing import Annotated

import typer

from ._completion import axes_of_scan, figure_names
from ._console import out, talk
from ._places import Location, to_folder
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan

OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        autocompletion=figure_names,
        help="One figure of docs/figures.md; may be given several times.",
    ),
]


def figures(
    scan: ScanArgument,
    to: Annotated[Location, to_folder(metavar="DIR", help="The folder to write.")],
    by: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="The axis whose labels make groups; each model if not given.",
        ),
    ] = None,
    only: OnlyOption = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="One axis of axis-boxes; may be given several times.",
        ),
    ] = None,
    formats: Annotated[
        str, typer.Option(metavar="LIST", help="Any of pdf, svg and png, separated by commas.")
    ] = "pdf,svg,png",
    meta: MetaOption = None,
    where: WhereOption = None,
) -> None:
    """Draw the figures of the papers for your own models, in the sizes of a two-column paper.

    A figure that this scan cannot make is named with the reason. If --only named it, the exit code is 1.

    Example: jfilters figures results/zoo --to figures --by first_layer
    """
    from jfilters.report import save_figures

    missing: list[str] = []
    paths = save_figures(
        open_scan(scan, meta, where),
        to,
        by=by,
        only=only,
        axes=axis or None,
        formats=[name.strip() for name in formats.split(",")],
        tell=missing.append,
    )
    for reason in missing:
        talk(f"not made: {reason}", style="yellow")
    for path in paths:
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)
    talk(f"wrote {len(paths)} files into {to}")
    raise typer.Exit(1 if only and missing else 0)
