"""`jfilters check SCAN --rules FILE`: a gate for CI and model registries."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._answers import Form, answer, form_option
from ._console import talk
from ._questions import MetaOption, ScanArgument, WhereOption, asked

if TYPE_CHECKING:
    from jfilters.analysis import Outcome


def check(
    scan: ScanArgument,
    rules: Annotated[
        Path, typer.Option(metavar="FILE", help="A TOML file of rules, each under [[rule]].")
    ],
    meta: MetaOption = None,
    where: WhereOption = None,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write JUnit XML too, a test case a rule and model."),
    ] = None,
    form: Annotated[Form, form_option("rule that holds, or what broke it")] = Form.table,
) -> None:
    """Check a scan against rules: thresholds on any column, or drift to a reference scan or card.

    Exit code 0 when all rules hold, 1 when one is broken.

    Example: jfilters check results/zoo --rules rules.toml --junit report.xml
    """
    from jfilters.analysis import check
    from jfilters.report import check_text, junit_xml

    outcomes = check(asked(scan, meta, where), rules)
    if junit is not None:
        junit.write_bytes(junit_xml(outcomes, str(rules)))
        talk(f"wrote {junit}")
    answer(
        form,
        text=lambda: check_text(outcomes),
        record=lambda: {"holds": not _broken(outcomes), "rules": [_record(o) for o in outcomes]},
        rows=_rows,
    )
    if _broken(outcomes):
        raise typer.Exit(1)


def _broken(outcomes: "list[Outcome]") -> bool:
    return any(outcome.broken for outcome in outcomes)


def _record(outcome: "Outcome") -> dict:
    return {
        "name": outcome.rule.name,
        "holds": not outcome.broken,
        "checked": outcome.checked,
        "broken": [vars(found) for found in outcome.broken],
        "partial": dict(outcome.partial),
    }


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for rule in record["rules"]:
        told = {"rule": rule["name"], "holds": rule["holds"], "checked": rule["checked"]}
        told |= {"partial": list(rule["partial"])} if rule["partial"] else {}
        yield from ({**told, **found} for found in rule["broken"] or ({},))
