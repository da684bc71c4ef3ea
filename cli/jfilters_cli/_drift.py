"""`jfilters drift SCAN --by AXIS`: compare the groups of an axis, with their nulls."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from ._answers import Form, answer, form_option
from ._completion import axes_of_scan
from ._console import talk
from ._places import Location, to_file, write_into
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

if TYPE_CHECKING:
    from jfilters.questions import DriftTable


def drift(
    scan: ScanArgument,
    by: Annotated[
        str,
        typer.Option(
            metavar="AXIS", autocompletion=axes_of_scan, help="The axis whose labels make groups."
        ),
    ],
    within: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS",
            autocompletion=axes_of_scan,
            help="Compare only inside each value of this axis.",
        ),
    ] = None,
    metric: MetricOption = "drift",
    clean: CleanOption = False,
    balance: BalanceOption = Balance.kernels,
    unit: UnitOption = "auto",
    matched: MatchedOption = None,
    permutations: PermutationsOption = 1000,
    seed: SeedOption = 0,
    meta: MetaOption = None,
    where: WhereOption = None,
    output: Annotated[
        Location | None,
        to_file("--out", metavar="FILE", help="Write a CSV with one row a pair."),
    ] = None,
    form: Annotated[Form, form_option("pair")] = Form.table,
) -> None:
    """Show the drift between the groups of an axis, with its sampling null and a test over units.

    The plain question also writes the square matrix drift-AXIS.csv into the scan's folder.

    Example: jfilters drift results/zoo --by first_layer
    """
    from jfilters.questions import Question, drift_between
    from jfilters.questions.internal import save_pairs

    question = Question(
        within=within,
        metric=metric,
        clean=clean,
        balance=balance.value,
        unit=unit,
        matched=tuple(matched or ()),
        permutations=permutations,
        seed=seed,
    )
    table = drift_between(open_scan(scan, meta, where), by, question)
    if output is not None:
        save_pairs(table, output)
        talk(f"wrote {output}: {len(table.pairs):,} pairs")
    if where is None:
        _write_matrix(table, scan)
    answer(form, table)


def _write_matrix(table: "DriftTable", scan: "Location") -> None:
    """Write drift-AXIS.csv into the folder, if this is D of all kernels and the folder can be written."""
    from jfilters.questions.internal import save_matrix

    question = table.question
    values = (question.metric, question.within, question.clean, question.balance)
    # The scan itself writes the matrix of models.
    if values != ("drift", None, False, "kernels") or table.by == "model":
        return
    name = re.sub(r"[^\w.-]", "_", table.by)
    write_into(scan, f"drift-{name}.csv", lambda path: save_matrix(table, path))
