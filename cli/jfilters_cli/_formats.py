"""`jfilters formats`: the table of what can be read."""

import json
from typing import Annotated

import typer

from ._console import out


def formats(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object a format.")
    ] = False,
) -> None:
    """List the formats that can be read, and what some of them need installed.

    Example: jfilters formats
    """
    from jfilters.report import describe_formats, formats_text

    if as_json:
        typer.echo(json.dumps(describe_formats(), indent=1))
    else:
        out.print(formats_text(), highlight=False)
