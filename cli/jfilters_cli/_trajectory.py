"""`jfilters trajectory SCAN`: how kernels move over the steps of a training run."""

from collections.abc import Iterator
from typing import Annotated, Any

from ._answers import Form, answer, form_option
from ._questions import ScanArgument, WhereOption, asked


def trajectory(
    scan: ScanArgument,
    where: WhereOption = None,
    form: Annotated[Form, form_option("step of a run")] = Form.table,
) -> None:
    """Show quality and drift over the steps of each run, and where it settled.

    Runs are the steps of an Orbax manager, or files whose names differ in a step or epoch alone.

    Example: jfilters trajectory results/run
    """
    import jfilters.analysis as analysis
    from jfilters.report import trajectory_text

    found = analysis.trajectories(asked(scan, None, where))
    answer(
        form,
        text=lambda: trajectory_text(found),
        record=lambda: analysis.trajectories_record(found),
        rows=_points,
    )


def _points(record: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in record:
        told = {"run": run["run"], "settled": run["settled"]}
        yield from ({**told, **point} for point in run["points"])
