"""Answers on stdout: as text for people, as JSON or CSV for programs."""

import enum
import json
from typing import TYPE_CHECKING, Any

import typer

from ._console import clear, out

if TYPE_CHECKING:
    from jfilters.answers import Answer


class Form(enum.StrEnum):
    """The form in which an answer is printed."""

    table = "table"
    json = "json"
    csv = "csv"


def form_option(row: str) -> Any:
    """Return the option `--format` of a command whose CSV has one line a `row`."""
    return typer.Option("--format", help=f"How to print the answer; csv: one line a {row}.")


def answer(form: Form, result: "Answer", **options: Any) -> None:
    """Print an answer in one form; the other forms are not computed.

    Args:
        form: text for people, JSON with the whole answer, or CSV with one line a row.
        result: the answer that a question returned.
        options: of its text, such as the number of rows to show.
    """
    from jfilters.report import csv_text, text

    clear()

    if form is Form.table:
        out.print(text(result, **options), highlight=False)
    elif form is Form.json:
        typer.echo(json.dumps(result.record(), indent=1))
    else:
        typer.echo(csv_text(result.rows()), nl=False)
