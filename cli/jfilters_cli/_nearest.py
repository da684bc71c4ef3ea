"""`jfilters nearest [SCAN] FILE`: rank models by their drift from a checkpoint, and place its layers."""

from typing import TYPE_CHECKING, Annotated

import typer

from ._answers import Form, answer, form_option
from ._console import talk
from ._questions import NetworkOption, StandardizeOption, WhereOption, open_scan

if TYPE_CHECKING:
    from jfilters.scans import Scan


def nearest(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="[SCAN] FILE",
            help="FILE: a checkpoint or a folder of them, a path or a URL; or a scan or bundle. Before it "
            "a scan or bundle; without one the real networks that ship with jfilters.",
        ),
    ],
    most: Annotated[int, typer.Option("--most", help="The number of models to show.", min=1)] = 10,
    show_map: Annotated[
        bool, typer.Option("--map", help="Draw a map of all models, from their drifts.")
    ] = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Show every layer among those of the scan, in place of models."
        ),
    ] = False,
    network: NetworkOption = None,
    standardize: StandardizeOption = False,
    where: WhereOption = None,
    form: Annotated[Form, form_option("model of the scan, or a layer with --layers")] = Form.table,
) -> None:
    """Show the models with the smallest drift from a checkpoint, and where its layers stand.

    Without a scan, a checkpoint of 3x3 kernels is placed among the real networks that ship with jfilters.
    It is measured in the basis of the scan and with its options, such as --axes and --standardize. The
    weights of the scan are not read.

    Example: jfilters nearest mine.safetensors

    Example: jfilters nearest results/zoo mine.safetensors --map
    """
    from jfilters.questions import nearest

    *scans, file = paths
    scan = _scan(scans, where)
    models = nearest(
        scan, file, network=network, standardize=standardize, layers=layers or not scans
    )
    if layers and models.standings is not None:
        answer(form, models.standings)
    else:
        answer(form, models, most=most, map=show_map)


def _scan(paths: list[str], where: str | None) -> "Scan":
    """Return the scan that is named, or the registry."""
    if len(paths) > 1:
        raise typer.BadParameter(f"expected FILE, or SCAN and FILE; got {len(paths) + 1} paths")
    if paths:
        from jfilters._files import readable

        return open_scan(readable(paths[0]), None, where)
    from jfilters.scans import open_registry

    registry = open_registry()
    talk(f"among the {len(registry.model_names)} real networks that ship with jfilters")
    return registry if where is None else registry.where(where)
