"""`jfilters inspect FILE`: show the layers of one checkpoint, and every skipped array."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._questions import AxesOption, CheckpointArgument, NetworkOption, StandardizeOption


def inspect(
    file: CheckpointArgument,
    axes: AxesOption = None,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="List every skipped array, not their number.")
    ] = False,
    form: Annotated[Form, form_option("layer")] = Form.table,
) -> None:
    """Show the layers of one checkpoint with axes, depth and quality, and skipped arrays by the reason.

    Example: jfilters inspect zoo/mobilenet_v2_imagenet.pth
    """
    from jfilters.engine import inspect

    inspection = inspect(file, axes=axes, network=network, standardize=standardize)
    answer(form, inspection, skipped=skipped)
