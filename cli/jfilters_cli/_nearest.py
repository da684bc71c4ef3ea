"""`jfilters nearest SCAN FILE`: the models of a scan that are closest to a checkpoint."""

import json
from typing import Annotated

import typer

from ._console import out
from ._questions import JsonOption, ScanArgument, WhereOption, asked


def nearest(
    scan: ScanArgument,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A checkpoint or a folder of them, a path or a URL; or a scan or card.",
        ),
    ],
    most: Annotated[int, typer.Option("--most", help="How many to show.", min=1)] = 10,
    show_map: Annotated[
        bool, typer.Option("--map", help="Draw a map of all models, from their drifts.")
    ] = False,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the models of a scan that a checkpoint drifts least from.

    The checkpoint is measured in the basis of the scan, whose own weights are not read.

    Example: jfilters nearest results/zoo mine.safetensors --map
    """
    import jfilters.analysis as analysis
    from jfilters.engine import keep_compiled
    from jfilters.report import nearest_text

    keep_compiled()
    found = analysis.nearest(asked(scan, None, where), file)
    if as_json:
        typer.echo(json.dumps(analysis.neighborhood_record(found), indent=1))
    else:
        out.print(nearest_text(found, most=most, map=show_map), highlight=False)
