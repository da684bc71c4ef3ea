"""`jfilters trajectory SCAN`: how kernels move over the steps of a training run."""

import json

import typer

from ._console import out
from ._questions import JsonOption, ScanArgument, WhereOption, asked


def trajectory(scan: ScanArgument, where: WhereOption = None, as_json: JsonOption = False) -> None:
    """Show quality and drift over the steps of each run, and where it settled.

    Runs are the steps of an Orbax manager, or files whose names differ in a step or epoch alone.

    Example: jfilters trajectory results/run
    """
    import jfilters.analysis as analysis
    from jfilters.report import trajectory_text

    found = analysis.trajectories(asked(scan, None, where))
    if as_json:
        typer.echo(json.dumps(analysis.trajectories_record(found), indent=1))
    else:
        out.print(trajectory_text(found), highlight=False)
