"""`jfilters merge FILE... -o FILE`: merge scans and bundles into one."""

from typing import Annotated

import typer

from ._console import talk
from ._places import Location, Place, to_path


def merge(
    sources: Annotated[
        list[Location],
        typer.Argument(
            metavar="SCAN...",
            help="Folders of scans, bundles, or both.",
            parser=Place(writes=False),
        ),
    ],
    output: Annotated[
        Location,
        to_path(
            "--output",
            "-o",
            metavar="PATH",
            help="The bundle to write; without a suffix, the folder.",
        ),
    ],
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Refuse scans that lack what others hold, instead of leaving it out."
        ),
    ] = False,
) -> None:
    """Merge scans and bundles into one, exactly: their bases and histogram edges have to be the same.

    A model that several hold with the same content is kept once. Models of one name but different content
    get the name of their source before theirs.

    Example: jfilters merge results/zoo lab.bundle -o both.bundle
    """
    from jfilters.converters.internal import is_folder
    from jfilters.scans import merge_scans, open_scan, save_bundle

    merged, missing = merge_scans([open_scan(path) for path in sources])
    if whole and missing:
        raise ValueError(
            f"not all of the scans have {', '.join(missing)}; scan again with the options of the others, "
            "or merge without --whole, which leaves it out of all"
        )
    if not output.suffix or is_folder(output):
        merged.save(output)
    else:
        save_bundle(merged, output)
    if missing:
        talk(f"left out, since not all have the same: {', '.join(missing)}", style="yellow")
    talk(f"wrote {output}: {len(merged.model_names)} models, {merged.layer_table.num_rows} layers")
