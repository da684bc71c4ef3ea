"""`jfilters axes SCAN`: rank axes by how far they shift kernels."""

from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._completion import axes_of_scan
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
    UnitOption,
    WhereOption,
    open_scan,
)


def axes(
    scan: ScanArgument,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="Only this axis; may be given several times.",
        ),
    ] = None,
    metric: MetricOption = "drift",
    clean: CleanOption = False,
    balance: BalanceOption = Balance.kernels,
    unit: UnitOption = "auto",
    matched: MatchedOption = None,
    permutations: PermutationsOption = 400,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    form: Annotated[Form, form_option("axis")] = Form.table,
) -> None:
    """Rank all axes of a scan by the drift between their groups, with a test over units.

    Example: jfilters axes results/zoo --axis first_layer --axis depth_decile
    """
    from jfilters.questions import Question, axes_table

    question = Question(
        metric=metric,
        clean=clean,
        balance=balance.value,
        unit=unit,
        matched=tuple(matched or ()),
        permutations=permutations,
        seed=seed,
    )
    answer(form, axes_table(open_scan(scan, meta, where), axis or None, question))
