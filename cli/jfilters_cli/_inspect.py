"""`jfilters inspect FILE`: the layers of one checkpoint, and every skipped array."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from ._answers import Form, answer, form_option
from ._questions import AxesOption, CheckpointArgument, NetworkOption, StandardizeOption

if TYPE_CHECKING:
    from jfilters.engine import Inspection


def inspect(
    file: CheckpointArgument,
    axes: AxesOption = None,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    form: Annotated[Form, form_option("layer")] = Form.table,
) -> None:
    """Show the layers of one checkpoint with axes, depth and quality, and what was skipped and why.

    Example: jfilters inspect zoo/mobilenet_v2_imagenet.pth
    """
    from jfilters.engine import inspect, keep_compiled
    from jfilters.report import inspection_text

    keep_compiled()
    inspection = inspect(file, axes=axes, network=network, standardize=standardize)
    answer(
        form,
        text=lambda: inspection_text(inspection),
        record=lambda: _record(inspection),
        rows=lambda record: record["layers"],
    )


def _record(inspection: "Inspection") -> dict:
    return {
        "format": inspection.checkpoint.format,
        "layers": inspection.layers.to_pylist(),
        "skipped": [dataclasses.asdict(array) for array in inspection.checkpoint.skipped],
    }
