"""`jfilters trajectory SCAN`: show how kernels move over the steps of a training run."""

from typing import Annotated

from ._answers import Form, answer, form_option
from ._questions import ScanArgument, WhereOption, open_scan


def trajectory(
    scan: ScanArgument,
    where: WhereOption = None,
    form: Annotated[Form, form_option("step of a run")] = Form.table,
) -> None:
    """Show quality and drift over the steps of each run, and the step at which it settled.

    Runs are the steps of an Orbax manager, or files whose names differ in a step or epoch alone.

    Example: jfilters trajectory results/run
    """
    from jfilters.questions import trajectories

    answer(form, trajectories(open_scan(scan, None, where)))
