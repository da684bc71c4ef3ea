"""Whether a scan keeps rules, and what broke them, with the numbers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from ..answers import Answer
from ..scans import Condition, Scan, all_axes, open_scan, where
from ..scans.internal import check_comparable, check_same_sparse, column, model_counts
from ..shift import drift, null_level, probability
from ._rules import Rule, read_rules

Counts = Int64[np.ndarray, "d bins"]


@dataclasses.dataclass(frozen=True)
class Break:
    """What broke a rule: a model, or a layer of it, why, and the values that were looked at."""

    model: str
    layer: str | None
    reason: str
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of one rule: the models it was about, the rows that were looked at, and what broke it.

    `partial` has those of the models whose checkpoints were read in part, and what was not: the rule says
    nothing of that.
    """

    rule: Rule
    models: tuple[str, ...]
    checked: int
    broken: tuple[Break, ...]
    partial: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Outcomes(tuple[Outcome, ...], Answer):
    """The results of all rules, in the order of the file."""

    @property
    def holds(self) -> bool:
        """Whether every rule holds."""
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


def check(scan: Scan, rules: Path | str) -> Outcomes:
    """Check a scan against every rule of a file; a rule that is about nothing holds.

    Raises CheckpointError or ValueError, naming the file and the rule, for a rule that cannot be read,
    names no column, or has a reference that this scan cannot be compared with.
    """
    path = Path(rules)
    return Outcomes(_outcome(scan, rule, path) for rule in read_rules(path))


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.rule.name,
        "holds": not outcome.broken,
        "checked": outcome.checked,
        "broken": [vars(each) for each in outcome.broken],
        "partial": dict(outcome.partial),
    }


def _outcome(scan: Scan, rule: Rule, path: Path) -> Outcome:
    try:
        outcome = _drifts(scan, rule) if rule.reference is not None else _conditions(scan, rule)
        return dataclasses.replace(outcome, partial=scan.partial_models(outcome.models))
    except ValueError as error:
        raise ValueError(f"{path}: rule {rule.name!r}: {error}") from error


def _conditions(scan: Scan, rule: Rule) -> Outcome:
    table = scan.layer_table if rule.table == "layers" else scan.model_table
    names = all_axes(scan) if rule.table == "layers" else table.column_names
    applies = Condition(rule.where, names) if rule.where else None
    required = Condition(rule.require or "", names)
    looked_at = dict.fromkeys(["model", *(applies.names if applies else ()), *required.names])
    columns = {name: _column(scan, rule.table, name) for name in looked_at}
    layers = table["layer"].to_pylist() if rule.table == "layers" else [None] * table.num_rows
    models, broken = [], []
    for i, layer in enumerate(layers):
        row = {name: columns[name][i] for name in columns}
        if applies is not None and applies.holds(row) is not True:
            continue
        models.append(row["model"])
        values = {name: row[name] for name in required.names}
        if (reason := _broken(rule, required.holds(row))) is not None:
            broken.append(Break(row["model"], layer, f"{reason}: {_told(values)}", values))
    return Outcome(rule, tuple(dict.fromkeys(models)), len(models), tuple(broken))


def _column(scan: Scan, table: str, name: str) -> Sequence[Any]:
    return column(scan, name) if table == "layers" else scan.model_table[name].to_pylist()


def _broken(rule: Rule, holds: bool | None) -> str | None:
    if holds is None:
        return "unknown" if rule.unknown == "fail" else None
    return None if holds else "does not hold"


def _drifts(scan: Scan, rule: Rule) -> Outcome:
    reference = open_scan(rule.reference or Path())
    check_comparable(scan, reference)
    if rule.clean:
        check_same_sparse(scan, reference)
    if rule.model is not None and rule.model not in reference.model_names:
        known = ", ".join(reference.model_names[:5])
        raise ValueError(
            f"expected a model of {reference.folder}, such as {known}; got {rule.model!r}"
        )
    if rule.where is not None:
        scan, reference = (part.only(where(part, rule.where)) for part in (scan, reference))
    pooled = model_counts(reference, clean=rule.clean)
    references = dict(zip(reference.model_names, pooled, strict=True))
    everything = pooled.sum(axis=0)
    broken = []
    ours = model_counts(scan, clean=rule.clean)
    for model, counts in zip(scan.model_names, ours, strict=True):
        other = rule.model or (model if model in references else None)
        theirs = everything if other is None else references.get(other, np.zeros_like(everything))
        told = f"the reference's {other}" if other else "all models of the reference"
        broken += _drift_break(scan, rule, model, told, counts, theirs)
    names = tuple(scan.model_names)
    return Outcome(rule, names, len(names), tuple(broken))


def _drift_break(
    scan: Scan, rule: Rule, model: str, other: str, counts: Counts, theirs: Counts
) -> list[Break]:
    n, m = int(counts[0].sum()), int(theirs[0].sum())
    if not (n and m):
        found = {"kernels": n, "reference_kernels": m}
        return [Break(model, None, f"unknown: {n} kernels against {m} of {other}", found)]
    ratio = scan.component_weights
    value = float(drift(probability(counts, scan.edges), probability(theirs, scan.edges), ratio))
    if value <= (rule.most_drift or 0):
        return []
    null_mean = null_level(float(n), float(m), np.count_nonzero(counts + theirs, axis=-1), ratio)
    reason = (
        f"drift {value:.4g}, allowed {rule.most_drift:g}, null mean {null_mean:.2g}; from {other}"
    )
    return [Break(model, None, reason, {"drift": value, "null_mean": null_mean})]


def _told(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    if value is None:
        return "null"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
