"""`jfilters bundle SCAN -o FILE`: write a whole scan as one small file."""

from pathlib import Path
from typing import Annotated

import typer

from ._console import talk
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def bundle(
    scan: ScanArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write.", dir_okay=False),
    ],
    meta: MetaOption = None,
    where: WhereOption = None,
) -> None:
    """Write a scan as one file of some kilobytes a model, which every question takes like a scan.

    It holds the tables, histograms, basis and moments, but no weights and no samples of kernels.

    Example: jfilters bundle results/zoo -o zoo.bundle
    """
    from jfilters.scans import save_bundle

    opened = open_scan(scan, meta, where)
    save_bundle(opened, output)
    size = output.stat().st_size / 1000
    talk(f"wrote {output}: {size:,.0f} kB, {size / len(opened.model_names):.1f} kB a model")
