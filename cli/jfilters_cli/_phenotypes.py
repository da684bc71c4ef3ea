"""`jfilters phenotypes SCAN`: what picture the kernels of each group make."""

import json
from typing import Annotated

import typer

from ._console import out
from ._questions import JsonOption, MetaOption, ScanArgument, WhereOption, asked


def phenotypes(
    scan: ScanArgument,
    by: Annotated[
        str, typer.Option(metavar="AXIS", help="What makes a group: model, layer or any axis.")
    ] = "model",
    meta: MetaOption = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify the plane of the first two coefficients of each group: sun, spikes, symbols or point.

    Decided by the kernels that the scan sampled; docs/phenotypes.md has the features and limits.

    Example: jfilters phenotypes results/zoo --by depth_decile
    """
    import jfilters.analysis as analysis
    from jfilters.report import phenotypes_text

    found = analysis.phenotypes(asked(scan, meta, where), by)
    if as_json:
        typer.echo(json.dumps(found.record(), indent=1))
    else:
        out.print(phenotypes_text(found), highlight=False)
