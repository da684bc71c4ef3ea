"""`jfilters drift SCAN --by AXIS`: what shifted along an axis, and whether it is more than chance."""

import enum
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._console import out, talk
from ._questions import JsonOption, MetaOption, ScanArgument, WhereOption, asked

if TYPE_CHECKING:
    from jfilters.analysis import DriftTable


class Balance(enum.StrEnum):
    """What counts the same in a group."""

    models = "models"
    layers = "layers"
    kernels = "kernels"


MetricOption = Annotated[
    str, typer.Option(metavar="NAME", help="drift, or any other comparison of docs/drift.md.")
]
CleanOption = Annotated[bool, typer.Option("--clean", help="Leave sparse kernels out.")]
BalanceOption = Annotated[
    Balance, typer.Option(help="What counts the same in a group: each model, layer or kernel.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]


def drift(
    scan: ScanArgument,
    by: Annotated[str, typer.Option(metavar="AXIS", help="The axis whose labels make groups.")],
    within: Annotated[
        str | None, typer.Option(metavar="AXIS", help="Compare only inside each of its values.")
    ] = None,
    metric: MetricOption = "drift",
    clean: CleanOption = False,
    balance: BalanceOption = Balance.kernels,
    permutations: Annotated[
        int, typer.Option(min=0, help="Random splits of models a pair; 0: no p-values.")
    ] = 1000,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write one row a pair as CSV.", dir_okay=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how groups of layers differ along an axis, and whether chance makes as much.

    The plain question also writes the square matrix drift-AXIS.csv into the scan.

    Example: jfilters drift results/zoo --by first_layer
    """
    from jfilters.analysis import drift_between, drift_record, save_pairs
    from jfilters.report import drift_text

    table = drift_between(
        asked(scan, meta, where),
        by,
        within=within,
        metric=metric,
        clean=clean,
        balance=balance.value,
        permutations=permutations,
        seed=seed,
    )
    if output is not None:
        save_pairs(table, output)
        talk(f"wrote {output}: {len(table.pairs):,} pairs")
    if where is None:
        _keep_matrix(table, scan)
    if as_json:
        typer.echo(json.dumps(drift_record(table), indent=1))
    else:
        out.print(drift_text(table), highlight=False)


def _keep_matrix(table: "DriftTable", scan: Path) -> None:
    """Write drift-AXIS.csv into the scan, if this is D of all kernels and the folder can be written."""
    from jfilters.analysis import save_matrix

    plain = (table.metric, table.within, table.clean, table.balance)
    # The scan itself writes that of models.
    if plain != ("drift", None, False, "kernels") or table.by == "model":
        return
    if scan.is_dir() and os.access(scan, os.W_OK):
        name = re.sub(r"[^\w.-]", "_", table.by)
        path = scan / f"drift-{name}.csv"
        save_matrix(table, path)
        talk(f"wrote {path}")
