"""The outcomes of the rules of `jfilters check`, for a terminal of 80 columns."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ..errors import printable
from ..questions import Break, Outcome
from ._cells import count, quantity

MOST_BREAKS = 20
"""Breaks of a rule that are shown; all are in the JSON and the JUnit file."""


def check_text(outcomes: Sequence[Outcome]) -> RenderableType:
    """Return a line a rule with its violations, models read in part, and the number of rules that hold."""
    parts = [part for outcome in outcomes for part in _rule(outcome)]
    broken = sum(bool(outcome.broken) for outcome in outcomes)
    partial = {model: why for outcome in outcomes for model, why in outcome.partial.items()}
    parts += [
        Text.assemble(("partial ", "yellow"), f"{printable(model)}: {printable(why)}")
        for model, why in partial.items()
    ]
    total = f"{count(len(outcomes) - broken)} of {count(len(outcomes))} rules hold"
    return Group(*parts, Text(total, "bold red" if broken else "bold green"))


def _rule(outcome: Outcome) -> list[Text]:
    about = quantity(outcome.checked, outcome.rule.unit)
    name = printable(outcome.rule.name)
    if not outcome.checked:
        return [Text.assemble(("empty   ", "yellow"), f"{name}: about nothing in this scan")]
    if not outcome.broken:
        return [Text.assemble(("holds   ", "green"), f"{name}: {about}")]
    head = f"{name}: {count(len(outcome.broken))} of {about}"
    shown = [Text(f"  {_break(violation)}") for violation in outcome.broken[:MOST_BREAKS]]
    hidden = len(outcome.broken) - MOST_BREAKS
    note = [Text(f"  and {count(hidden)} more", "dim")] if hidden > 0 else []
    return [Text.assemble(("broken  ", "bold red"), head), *shown, *note]


def _break(violation: Break) -> str:
    where = printable(violation.model) + (
        f" {printable(violation.layer)}" if violation.layer else ""
    )
    return f"{where}: {printable(violation.reason)}"
