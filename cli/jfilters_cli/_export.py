"""`jfilters export SCAN --to filterdb -o FILE`: write the kernels of a scan for other tools."""

import enum
from typing import Annotated

import typer

from ._console import talk
from ._places import Location, Place, to_file


class Target(enum.StrEnum):
    """The format to write."""

    filterdb = "filterdb"


def export(
    scan: Annotated[
        Location,
        typer.Argument(
            help="The folder that a scan wrote.", parser=Place(writes=False, file=False)
        ),
    ],
    to: Annotated[Target, typer.Option(help="The format to write: a CNN Filter DB.")],
    output: Annotated[Location, to_file("--output", "-o", help="The file to write.")],
) -> None:
    """Write the kernels of a scan, and a table of their layers, as one file for other tools.

    The checkpoints are read again, and have to be the same as in the scan.

    Example: jfilters export results/zoo --to filterdb -o zoo.h5
    """
    from jfilters.engine import export_filterdb

    exporters = {Target.filterdb: export_filterdb}
    count = exporters[to](scan, output)
    talk(f"wrote {output}: {count:,} kernels")
