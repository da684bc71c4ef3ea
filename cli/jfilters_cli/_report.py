"""`jfilters report SCAN`: write one page with all answers of a scan."""

from typing import Annotated

import typer

from ._completion import axes_of_scan
from ._console import talk
from ._page import open_page
from ._places import Location, to_file
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def report(
    scan: ScanArgument,
    out_file: Annotated[
        Location | None,
        to_file(
            "--out",
            "-o",
            metavar="FILE",
            help="The file to write.",
            show_default="SCAN/report.html",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="Compare groups along this axis, with more permutations; may be given several times.",
            show_default="every axis",
        ),
    ] = None,
    meta: MetaOption = None,
    where: WhereOption = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write one self-contained HTML page: findings, models, drift, quality, layers, phenotypes.

    The page makes no network request, and holds no weights but a few sampled kernels.

    Example: jfilters report results/zoo --open
    """
    from jfilters.report import check_can_draw, write_page

    check_can_draw()
    path = out_file or default_page(scan)
    write_page(open_scan(scan, meta, where), path, by=by or ())
    talk(f"wrote {path}")
    if show:
        open_page(path)


def default_page(scan: "Location") -> "Location":
    """Return the path inside the folder of a scan, or beside a bundle."""
    from jfilters.converters.internal import is_file

    return scan.with_suffix(".html") if is_file(scan) else scan / "report.html"
