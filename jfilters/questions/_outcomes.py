"""Outcomes of rules: the models that a rule is about, and what breaks it, with the numbers."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ..answers import Answer
from ..scans import Condition, Scan
from ._rules import Rule


@dataclasses.dataclass(frozen=True)
class Break:
    """Model or layer that breaks a rule, with the reason and the numbers.

    - `model`, `layer`: their names; the layer is None for a rule on whole models.
    - `reason`: one sentence with the numbers.
    - `values`: the columns that the rule reads and their values; drift and null mean, in nats, for a rule
      with a reference.
    """

    model: str
    layer: str | None
    reason: str
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of one rule.

    - `rule`: the rule as it was read.
    - `models`: the models that it is about.
    - `checked`: number of rows that it was checked on, of layers or models.
    - `broken`: the models or layers that break it; empty if it holds.
    - `partial`: the models whose checkpoints were read in part, each with what was not read; the rule says
      nothing of that.
    """

    rule: Rule
    models: tuple[str, ...]
    checked: int
    broken: tuple[Break, ...]
    partial: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Outcomes(tuple[Outcome, ...], Answer):
    """Results of all rules of a file, in its order; a tuple of `Outcome`.

    `holds` is True if every rule holds. `rows()` gives one row a rule that holds, and one a model or layer
    that breaks a rule. `record()` has all of it for JSON.
    """

    @property
    def holds(self) -> bool:
        """True if every rule holds."""
        return not any(outcome.broken for outcome in self)

    def record(self) -> dict[str, Any]:
        """Return whether all rules hold, and one record a rule."""
        return {"holds": self.holds, "rules": [_record(outcome) for outcome in self]}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a rule that holds, or what broke it."""
        for outcome in self:
            rule = {"rule": outcome.rule.name, "holds": not outcome.broken}
            rule |= {"checked": outcome.checked}
            rule |= {"partial": list(outcome.partial)} if outcome.partial else {}
            yield from ({**rule, **vars(each)} for each in outcome.broken)
            if not outcome.broken:
                yield rule


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.rule.name,
        "holds": not outcome.broken,
        "checked": outcome.checked,
        "broken": [vars(each) for each in outcome.broken],
        "partial": dict(outcome.partial),
    }


def models_of(scan: Scan, rule: Rule) -> list[str]:
    """Return the models for which the `where` of a rule holds, all without one."""
    if rule.where is None:
        return scan.model_names
    condition = Condition(rule.where, scan.model_table.column_names)
    return [row["model"] for row in scan.model_table.to_pylist() if condition.holds(row) is True]
