"""`jfilters trajectory SCAN`: show how kernels move over the steps of a training run."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._questions import ScanArgument, WhereOption, open_scan


def trajectory(
    scan: ScanArgument,
    where: WhereOption = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="A glob whose last star is the step, or a regular expression with groups run and step.",
            show_default="that of the scan, or by name",
        ),
    ] = None,
    form: Annotated[Form, form_option("step of a run")] = Form.table,
) -> None:
    """Show quality and drift over the steps of each run, and the step at which it settled.

    Runs are the steps of an Orbax manager, files whose names differ in a step, epoch, iter or ckpt, or in
    a number of its own that rises. Seeds, folds, versions and sizes are no steps. --run tells other names.

    Example: jfilters trajectory results/run --run "net_seed*_e*.pt"
    """
    from jfilters.questions import trajectories

    answer(form, trajectories(open_scan(scan, None, where), run=run))
