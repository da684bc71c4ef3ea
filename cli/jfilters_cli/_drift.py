"""`jfilters drift SCAN --by AXIS`: what shifted along an axis, and whether it is more than chance."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._answers import Form, answer, form_option
from ._console import talk
from ._questions import (
    Balance,
    BalanceOption,
    CleanOption,
    MatchedOption,
    MetaOption,
    MetricOption,
    PermutationsOption,
    ScanArgument,
    SeedOption,
    WhereOption,
    asked,
)

if TYPE_CHECKING:
    from jfilters.analysis import DriftTable


def drift(
    scan: ScanArgument,
    by: Annotated[str, typer.Option(metavar="AXIS", help="The axis whose labels make groups.")],
    within: Annotated[
        str | None, typer.Option(metavar="AXIS", help="Compare only inside each of its values.")
    ] = None,
    metric: MetricOption = "drift",
    clean: CleanOption = False,
    balance: BalanceOption = Balance.kernels,
    matched: MatchedOption = None,
    permutations: PermutationsOption = 1000,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write one row a pair as CSV.", dir_okay=False),
    ] = None,
    form: Annotated[Form, form_option("pair")] = Form.table,
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
        matched=matched or (),
        permutations=permutations,
        seed=seed,
    )
    if output is not None:
        save_pairs(table, output)
        talk(f"wrote {output}: {len(table.pairs):,} pairs")
    if where is None:
        _keep_matrix(table, scan)
    answer(
        form,
        text=lambda: drift_text(table),
        record=lambda: drift_record(table),
        rows=lambda record: record["pairs"],
    )


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
