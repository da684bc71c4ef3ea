"""`jfilters lineage SCAN|DIR|FILE...`: say which checkpoints are kin, and who came from whom."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._config import spatial_shape
from ._console import begin, talk
from ._places import Location, of_scan, to_file
from ._questions import AxesOption, NetworkOption


def lineage(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="SCAN|DIR|FILE...",
            help="A scan or bundle, or checkpoints: a folder or files, which are scanned on the way.",
        ),
    ],
    weights: Annotated[
        bool,
        typer.Option(
            help="Read the weights of kin, for relations and directions; or sketches alone."
        ),
    ] = True,
    against: Annotated[
        Location | None,
        of_scan(metavar="SCAN", help="Place the models among those of this scan or bundle."),
    ] = None,
    registry: Annotated[
        bool | None,
        typer.Option(
            "--registry/--no-registry",
            help="Place them among the real networks that ship with jfilters; one checkpoint alone is, "
            "unless told otherwise.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Show which layers moved on every edge, and which froze."),
    ] = False,
    dot: Annotated[
        Location | None,
        to_file(metavar="FILE", help="Write the forest for Graphviz too."),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", help="The number of families to show.", min=1)
    ] = 20,
    spatial: Annotated[
        str, typer.Option(help="The kernel size of checkpoints.", callback=spatial_shape)
    ] = "3x3",
    axes: AxesOption = None,
    network: NetworkOption = None,
    form: Annotated[
        Form, form_option("parent and child, or a layer of both with --layers")
    ] = Form.table,
) -> None:
    """Say which checkpoints are kin, who came from whom, and what changed on the way.

    Families follow from the sketches that every scan keeps. Files that are no checkpoints are skipped. One
    checkpoint alone is placed among the real networks that ship with jfilters.

    Exit code 1 when some checkpoints were read in part, refused or failed.

    Example: jfilters lineage checkpoints --dot forest.dot
    """
    begin()
    from jfilters.questions import lineage_of

    forest, unread = lineage_of(
        paths,
        weights=weights,
        against=against,
        registry=registry,
        options={"spatial": spatial, "axes": axes, "network": network},
        progress=True,
    )
    if dot is not None:
        from jfilters._files import write_text
        from jfilters.report import dot_text

        write_text(dot, dot_text(forest))
        talk(f"wrote {dot}")
    if layers:
        answer(form, forest.by_layer())
    elif form is Form.table:
        answer(form, forest, most=most)
    else:
        answer(form, forest)
    for model, reason in unread.items():
        talk(f"{model}: {reason}", style="yellow")
    if unread:
        raise typer.Exit(1)
