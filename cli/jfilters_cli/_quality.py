"""`jfilters quality SCAN`: which layers are degenerate, where, and what could be pruned."""

import json
from typing import Annotated

import typer

from ._console import out
from ._questions import JsonOption, MetaOption, ScanArgument, WhereOption, asked


def quality(
    scan: ScanArgument,
    by: Annotated[
        str,
        typer.Option(metavar="AXIS", help="The axis along which degenerate layers are counted."),
    ] = "depth_decile",
    layers: Annotated[
        bool, typer.Option("--layers", help="Show every model and layer, beside random weights.")
    ] = False,
    fold_batchnorm: Annotated[
        bool,
        typer.Option(
            "--fold-batchnorm",
            help="Read the checkpoints again: every layer as stored and with its BatchNorm folded in.",
        ),
    ] = False,
    meta: MetaOption = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which layers are degenerate, along an axis, and what could be pruned.

    Verdicts are those of the scan, with its epsilon; the strip shows those of others.

    Example: jfilters quality results/zoo --layers --where "verdict == 'random-like'"
    """
    import jfilters.analysis as analysis
    from jfilters.report import folded_text, quality_text

    chosen = asked(scan, meta, where)
    found = analysis.quality(chosen, by=by)
    record = analysis.quality_record(found)
    folded = analysis.folded_scan(chosen) if fold_batchnorm else None
    if folded:
        record["folded"] = vars(folded)
    if as_json:
        typer.echo(json.dumps(record, indent=1))
        return
    out.print(quality_text(found, layers=layers), highlight=False)
    if folded:
        out.print(folded_text(folded), highlight=False)
