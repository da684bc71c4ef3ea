"""`jfilters scan`: a folder of checkpoints into tables."""

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from ._config import spatial_shape, use_config
from ._console import out, talk
from ._progress import progress_bar


class Range(enum.StrEnum):
    """Where histogram edges come from."""

    fixed = "fixed"
    data = "data"


def scan(
    checkpoints: Annotated[
        str, typer.Option(help="The folder of checkpoints, or a single one: a path or a URL.")
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="The folder to write.", show_default="results/<name of DIR>"),
    ] = None,
    spatial: Annotated[
        str, typer.Option(help="The kernel size to look at.", callback=spatial_shape)
    ] = "3x3",
    basis: Annotated[
        Path | None,
        typer.Option(
            help="A basis file, or a scan's arrays.safetensors, to use instead of fitting one."
        ),
    ] = None,
    histogram_range: Annotated[
        Range, typer.Option("--range", help="Histogram edges: data-free, or from the data.")
    ] = Range.fixed,
    axes: Annotated[
        str | None, typer.Option(help="Axis order of weights that do not tell, such as HWIO.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with these options; the command line wins.",
            is_eager=True,
            callback=use_config,
        ),
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(help="Refuse larger checkpoints.", min=1, show_default="no limit")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first checkpoint that cannot be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print scan.json to stdout.")] = False,
) -> None:
    """Scan a folder of checkpoints: tables, drift between models, and a summary.

    URLs such as s3://, gs://, hf:// and https:// are read by byte ranges; a source that does not answer
    for 60 seconds, or JFILTERS_TIMEOUT seconds if that is set, is given up.

    Exit code 0 when every checkpoint was read, 1 when some were refused or failed.

    Example: jfilters scan --checkpoints zoo --out results/zoo
    """
    from jfilters.engine import Options, describe, keep_compiled, scan, write_scan
    from jfilters.report import summary_text
    from jfilters.statistics import load_basis

    keep_compiled()
    folder = out_folder or Path("results") / _name(checkpoints)
    options = Options(
        spatial=spatial,  # type: ignore[arg-type]
        range=histogram_range.value,  # type: ignore[arg-type]
        axes=axes,
        max_bytes=max_bytes,
        strict=strict,
    )
    known = None if basis is None else load_basis(basis)
    with progress_bar() as progress:
        found = scan(checkpoints, options, basis=known, progress=progress)
    write_scan(found, folder)
    record = describe(found)
    if as_json:
        typer.echo(json.dumps(record, indent=1))
    else:
        out.print(summary_text(found))
    talk(f"wrote {folder}")
    if record["totals"]["refused"] or record["totals"]["failed"]:
        raise typer.Exit(1)


def _name(checkpoints: str) -> str:
    from jfilters.converters import base_name, location

    path = location(checkpoints)
    return base_name(path.resolve() if isinstance(path, Path) else path)
