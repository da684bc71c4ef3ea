"""The parts of `jfilters scan` around the scan itself: what is scanned, what is planned, what is shown."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ._answers import Form, answer
from ._console import talk
from ._places import Location

if TYPE_CHECKING:
    from jfilters.engine import Options
    from jfilters.scans import Scan


def show_plan(
    roots: list[str],
    options: "Options",
    folder: "Location",
    job: tuple[str | None, int | None, int | None],
    rate: float | None,
    form: Form,
) -> None:
    """Print who of the job reads what, without reading it."""
    from jfilters.engine.internal import RATE, planned_job, planned_scan
    from jfilters.scans.internal import CACHE

    planned = planned_scan(
        roots, options, job=planned_job(*job), cache=folder / CACHE, rate=rate or RATE
    )
    answer(form, planned)


def show_summary(scan: "Scan", folder: "Location", form: Form) -> None:
    """Print the summary of a scan, and where it was written."""
    from jfilters.report import Summary

    answer(form, Summary(scan))
    talk(f"wrote {folder}")


def write_report(scan: "Scan", folder: "Location") -> "Location | None":
    """Return the page that was written; None where this scan has none."""
    from jfilters.report import write_page

    try:
        write_page(scan, folder / "report.html")
    except ValueError as error:
        talk(f"no page: {error}", style="yellow")
        return None
    talk(f"wrote {folder / 'report.html'}")
    return folder / "report.html"


def roots_of(context: typer.Context, places: list[str], checkpoints: str | None) -> list[str]:
    """Return what is to be scanned: the arguments, else --checkpoints, of the command line or a file."""
    source = context.get_parameter_source("checkpoints")
    if places and checkpoints is not None and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("DIR and --checkpoints are one thing: give one of them")
    if not places and checkpoints is None:
        raise typer.BadParameter("expected a folder of checkpoints: jfilters scan DIR")
    return places or [checkpoints or ""]


def name_of(roots: list[str]) -> str:
    """Return the name of the folder that is scanned, or of that which holds all."""
    from jfilters.converters import location
    from jfilters.converters.internal import base_name

    paths = [location(root) for root in roots]
    paths = [path.resolve() if isinstance(path, Path) else path for path in paths]
    if len(paths) == 1:
        return base_name(paths[0])
    parents = {path.parent for path in paths}
    if len(parents) > 1:
        raise typer.BadParameter("several folders of checkpoints need --out DIR")
    return base_name(parents.pop())
