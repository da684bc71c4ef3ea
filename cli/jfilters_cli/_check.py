"""`jfilters check SCAN --rules FILE`: test a scan against rules, in CI or a model registry."""

from pathlib import Path
from typing import Annotated

import typer

from ._answers import Form, answer, form_option
from ._console import talk
from ._places import Location, to_file
from ._questions import MetaOption, ScanArgument, WhereOption, open_scan


def check(
    scan: ScanArgument,
    rules: Annotated[
        Path, typer.Option(metavar="FILE", help="A TOML file of rules, each in a table [[rule]].")
    ],
    meta: MetaOption = None,
    where: WhereOption = None,
    junit: Annotated[
        Location | None,
        to_file(metavar="FILE", help="Write JUnit XML too, a test case for each rule and model."),
    ] = None,
    form: Annotated[Form, form_option("rule that holds, or row that broke one")] = Form.table,
) -> None:
    """Test a scan against rules: thresholds on any column, drift from a reference, frozen layers, descent.

    Exit code 0 when all rules hold, 1 when one is broken.

    Example: jfilters check results/zoo --rules rules.toml --junit report.xml
    """
    from jfilters.questions import check

    outcomes = check(open_scan(scan, meta, where), rules)
    if junit is not None:
        from jfilters._files import write_text
        from jfilters.report import junit_xml

        write_text(junit, junit_xml(outcomes, str(rules)).decode())
        talk(f"wrote {junit}")
    answer(form, outcomes)
    if not outcomes.holds:
        raise typer.Exit(1)
