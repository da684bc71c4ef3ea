"""`jfilters inspect FILE`: the layers of one checkpoint, and every skipped array."""

import dataclasses
import json
from typing import Annotated

import typer

from ._console import out


def inspect(
    file: Annotated[
        str, typer.Argument(help="A checkpoint: a file or a folder, by its path or URL.")
    ],
    axes: Annotated[
        str | None, typer.Option(help="Axis order of weights that do not tell, such as HWIO.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the layers of one checkpoint with axes, depth and quality, and what was skipped and why.

    Example: jfilters inspect zoo/mobilenet_v2_imagenet.pth
    """
    from jfilters.engine import inspect, keep_compiled
    from jfilters.report import inspection_text

    keep_compiled()
    inspection = inspect(file, axes=axes)
    if as_json:
        skipped = [dataclasses.asdict(array) for array in inspection.checkpoint.skipped]
        record = {"layers": inspection.layers.to_pylist(), "skipped": skipped}
        typer.echo(json.dumps({"format": inspection.checkpoint.format, **record}, indent=1))
    else:
        out.print(inspection_text(inspection))
