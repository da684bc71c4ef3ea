"""Options that several commands share, and the opening of a scan with metadata and a condition."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._completion import axes_of_scan, axis_orders, conditions_on_scan, metrics, units
from ._console import talk
from ._places import Location, Place

if TYPE_CHECKING:
    from jfilters.scans import Scan

SHOWN = 5  # names in a message; further ones are counted

ScanArgument = Annotated[
    Location,
    typer.Argument(
        metavar="SCAN",
        help="The folder that a scan wrote, or a bundle; a path or a URL.",
        parser=Place(writes=False),
    ),
]
MetaOption = Annotated[
    Path | None,
    typer.Option(
        "--meta",
        metavar="FILE",
        help="Metadata: a CSV, Parquet or TOML table of the models, by name or glob.",
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="EXPR",
        autocompletion=conditions_on_scan,
        help="Only the layers for which this holds: \"task == 'detection' and not depthwise\".",
    ),
]
MetricOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", autocompletion=metrics, help="drift, or any other metric of docs/drift.md."
    ),
]
CleanOption = Annotated[bool, typer.Option("--clean", help="Leave sparse kernels out.")]


class Balance(enum.StrEnum):
    """What counts the same in a group."""

    units = "units"
    models = "models"
    layers = "layers"
    kernels = "kernels"


BalanceOption = Annotated[
    Balance,
    typer.Option(help="What counts the same in a group: each unit, model, layer or kernel."),
]
UnitOption = Annotated[
    str,
    typer.Option(
        metavar="UNIT",
        autocompletion=units,
        help="What a test exchanges: auto (families and runs, else models), model, or a column.",
    ),
]
MatchedOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="AXIS",
        autocompletion=axes_of_scan,
        help="For p, exchange only units with the same label on this axis; may be given several times.",
    ),
]
PermutationsOption = Annotated[
    int, typer.Option(min=0, help="Random permutations of units a pair; 0: no p-values.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="The seed of all random numbers.")]
CheckpointArgument = Annotated[
    str, typer.Argument(help="A checkpoint: a file or a folder, by its path or URL.")
]
AxesOption = Annotated[
    str | None,
    typer.Option(
        metavar="ORDER",
        autocompletion=axis_orders,
        help="Axis order of weights whose file does not say, such as HWIO.",
    ),
]

NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The copy of a network to read, such as ema; by default the trained weights.",
    ),
]
StandardizeOption = Annotated[
    bool,
    typer.Option(
        "--standardize",
        help="Read weights as weight standardization applies them; no file records it.",
    ),
]


def open_scan(folder: "Location", meta: Path | None = None, where: str | None = None) -> "Scan":
    """Open a scan with its metadata, narrowed to the layers for which a condition holds.

    Rows and models of the metadata that match nothing are named on stderr. Raises ValueError if no
    layer is left.
    """
    from jfilters.scans import open_scan, with_metadata

    scan = open_scan(folder)
    if meta is not None:
        scan, joined = with_metadata(scan, meta)
        tell_unmatched(meta, joined.unmatched_rows, joined.unmatched_models)
    return scan if where is None else scan.where(where)


def tell_unmatched(meta: Path, rows: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Name on stderr the rows and models that a table of metadata and a scan do not have in common."""
    _list_names(f"{meta}: no model matches", rows)
    _list_names(f"{meta}: it holds no row for", models)


def _list_names(text: str, names: tuple[str, ...]) -> None:
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        talk(f"{text} {', '.join(names[:SHOWN])}{more}", style="yellow")
