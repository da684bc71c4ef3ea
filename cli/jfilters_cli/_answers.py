"""How commands answer on stdout: as text for people, as JSON or CSV for programs."""

import enum
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from ._console import out

if TYPE_CHECKING:
    from rich.console import RenderableType


class Form(enum.StrEnum):
    """What an answer is printed as."""

    table = "table"
    json = "json"
    csv = "csv"


def form_option(row: str) -> Any:
    """The option `--format` of a command whose CSV has one line a `row`."""
    return typer.Option("--format", help=f"How to print the answer; csv: one line a {row}.")


def answer(
    form: Form,
    *,
    text: "Callable[[], RenderableType]",
    record: Callable[[], Any],
    rows: Callable[[Any], Iterable[Mapping[str, Any]]] = iter,
) -> None:
    """Print an answer in the form that is asked for; nothing is made of the other forms.

    **Arguments:**

    - `text`: makes what people read.
    - `record`: makes what JSON holds, all that is known.
    - `rows`: takes the lines of CSV out of that record; if not given it is a list of them.
    """
    if form is Form.table:
        out.print(text(), highlight=False)
    elif form is Form.json:
        typer.echo(json.dumps(record(), indent=1))
    else:
        from jfilters.report import csv_text

        typer.echo(csv_text(rows(record())), nl=False)
