"""`jfilters quality SCAN`: count degenerate layers along an axis, and what could be pruned."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._completion import axes_of_scan
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def quality(
    scan: ScanArgument,
    by: Annotated[
        str,
        typer.Option(
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="The axis along which degenerate layers are counted.",
        ),
    ] = "depth_decile",
    layers: Annotated[
        bool, typer.Option("--layers", help="Show every model and layer, beside random weights.")
    ] = False,
    fold_batchnorm: Annotated[
        bool | None,
        typer.Option(
            "--fold-batchnorm/--no-fold-batchnorm",
            help="Read all checkpoints again, and judge layers with their BatchNorm folded in too; "
            "or read none.",
            show_default="small ones, for what could be pruned",
        ),
    ] = None,
    meta: MetaOption = None,
    where: WhereOption = None,
    form: Annotated[Form, form_option("layer")] = Form.table,
) -> None:
    """Show which layers are degenerate, along an axis, and what could be pruned.

    Verdicts are those of the scan, with its epsilon. A second table shows those of other epsilons. What
    could be pruned is counted with BatchNorm folded in, where the checkpoints can be read again.

    Example: jfilters quality results/zoo --layers --where "verdict == 'sparse'"
    """
    from jfilters.questions import quality

    result = quality(open_scan(scan, meta, where), by=by, fold_batchnorm=fold_batchnorm)
    answer(form, result, layers=layers)
