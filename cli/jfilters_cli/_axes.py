"""`jfilters axes SCAN`: which axis shifts kernels most."""

import json
from typing import Annotated

import typer

from ._console import out
from ._drift import Balance, BalanceOption, CleanOption, MetricOption, SeedOption
from ._questions import JsonOption, MetaOption, ScanArgument, WhereOption, asked


def axes(
    scan: ScanArgument,
    axis: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="AXIS", help="Only this one; may be given several times."),
    ] = None,
    metric: MetricOption = "drift",
    clean: CleanOption = False,
    balance: BalanceOption = Balance.kernels,
    permutations: Annotated[
        int, typer.Option(min=0, help="Random splits of models a pair; 0: no p-values.")
    ] = 400,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all axes of a scan: median, mean and maximum drift between the groups of each.

    Example: jfilters axes results/zoo --axis first_layer --axis depth_decile
    """
    from jfilters.analysis import axes_record, axes_table
    from jfilters.report import axes_text

    table = axes_table(
        asked(scan, meta, where),
        axis or None,
        metric=metric,
        clean=clean,
        balance=balance.value,
        permutations=permutations,
        seed=seed,
    )
    if as_json:
        typer.echo(json.dumps(axes_record(table), indent=1))
    else:
        out.print(axes_text(table), highlight=False)
