"""`jfilters phenotypes SCAN`: what picture the kernels of each group make."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def phenotypes(
    scan: ScanArgument,
    by: Annotated[
        str, typer.Option(metavar="AXIS", help="What makes a group: model, layer or any axis.")
    ] = "model",
    meta: MetaOption = None,
    where: WhereOption = None,
    form: Annotated[Form, form_option("group")] = Form.table,
) -> None:
    """Classify the plane of the first two coefficients of each group: sun, spikes, symbols or point.

    Decided by the kernels that the scan sampled; docs/phenotypes.md has the features and limits.

    Example: jfilters phenotypes results/zoo --by depth_decile
    """
    from jfilters.questions import phenotypes

    answer(form, phenotypes(open_scan(scan, meta, where), by))
