"""`jfilters bundle SCAN -o FILE`: write a whole scan as one small file."""

from typing import Annotated

from ._console import talk
from ._places import Location, to_file
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def bundle(
    scan: ScanArgument,
    output: Annotated[
        Location,
        to_file("--output", "-o", metavar="FILE", help="The file to write."),
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
