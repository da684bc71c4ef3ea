"""`jfilters phenotypes SCAN`: label the distribution of the first two coefficients of each group."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._completion import axes_of_scan
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def phenotypes(
    scan: ScanArgument,
    by: Annotated[
        str,
        typer.Option(
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="The axis whose labels make groups: model, layer or any other.",
        ),
    ] = "model",
    meta: MetaOption = None,
    where: WhereOption = None,
    form: Annotated[Form, form_option("group")] = Form.table,
) -> None:
    """Label the first two coefficients of each group as sun, spikes, symbols or point.

    The kernels that the scan sampled decide; docs/phenotypes.md has the features and limits.

    Example: jfilters phenotypes results/zoo --by depth_decile
    """
    from jfilters.questions import phenotypes

    answer(form, phenotypes(open_scan(scan, meta, where), by))
