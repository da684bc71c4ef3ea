"""`jfilters quality SCAN`: which layers are degenerate, where, and what could be pruned."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from ._answers import Form, answer, form_option
from ._questions import MetaOption, ScanArgument, WhereOption, asked


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
    form: Annotated[Form, form_option("layer")] = Form.table,
) -> None:
    """Show which layers are degenerate, along an axis, and what could be pruned.

    Verdicts are those of the scan, with its epsilon; the strip shows those of others.

    Example: jfilters quality results/zoo --layers --where "verdict == 'sparse'"
    """
    import jfilters.analysis as analysis
    from jfilters.report import folded_text, quality_text

    chosen = asked(scan, meta, where)
    found = analysis.quality(chosen, by=by)
    folded = analysis.folded_scan(chosen) if fold_batchnorm else None

    def text() -> RenderableType:
        return Group(quality_text(found, layers=layers), *([folded_text(folded)] if folded else []))

    def record() -> dict[str, Any]:
        return analysis.quality_record(found) | ({"folded": vars(folded)} if folded else {})

    answer(form, text=text, record=record, rows=_layers)


def _layers(record: dict[str, Any]) -> list[dict[str, Any]]:
    return record["folded"]["rows"] if "folded" in record else record["layers"]
