"""`jfilters nearest SCAN FILE`: rank the models of a scan by their drift from a checkpoint."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._questions import NetworkOption, ScanArgument, StandardizeOption, WhereOption, open_scan


def nearest(
    scan: ScanArgument,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A checkpoint or a folder of them, a path or a URL; or a scan or bundle.",
        ),
    ],
    most: Annotated[int, typer.Option("--most", help="The number of models to show.", min=1)] = 10,
    show_map: Annotated[
        bool, typer.Option("--map", help="Draw a map of all models, from their drifts.")
    ] = False,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    where: WhereOption = None,
    form: Annotated[Form, form_option("model of the scan")] = Form.table,
) -> None:
    """Show the models of a scan with the smallest drift from a checkpoint.

    The checkpoint is measured in the basis of the scan and with its options, such as --axes and
    --standardize. The weights of the scan are not read.

    Example: jfilters nearest results/zoo mine.safetensors --map
    """
    from jfilters.questions import nearest

    models = nearest(open_scan(scan, None, where), file, network=network, standardize=standardize)
    answer(form, models, most=most, map=show_map)
