"""Rules checked against a scan, with the models and layers that break them and their numbers."""

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


def check(scan: Scan, rules: Path | str) -> Outcomes:
    """Check a scan against every rule of a file; a rule that is about nothing holds.

    Runs on the host and needs no JAX.

    Args:
        scan: in memory or opened.
        rules: a TOML file with one `[[rule]]` each; references count from its folder.

    Returns:
        One outcome a rule, in the order of the file.

    Raises:
        CheckpointError: naming the file and the rule, for a rule that cannot be read.
        ValueError: for one that names no column, or has a reference that this scan cannot be compared with.
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
            broken.append(Break(row["model"], layer, f"{reason}: {_text_of(values)}", values))
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
        examples = ", ".join(reference.model_names[:5])
        raise ValueError(
            f"expected a model of {reference.folder}, such as {examples}; got {rule.model!r}"
        )
    if rule.where is not None:
        scan, reference = (part.only(where(part, rule.where)) for part in (scan, reference))
    pooled = model_counts(reference, clean=rule.clean)
    references = dict(zip(reference.model_names, pooled, strict=True))
    everything = pooled.sum(axis=0)
    broken = []
    counts_of_models = model_counts(scan, clean=rule.clean)
    for model, counts in zip(scan.model_names, counts_of_models, strict=True):
        other = rule.model or (model if model in references else None)
        reference_counts = (
            everything if other is None else references.get(other, np.zeros_like(everything))
        )
        description = f"the reference's {other}" if other else "all models of the reference"
        broken += _drift_break(scan, rule, model, description, counts, reference_counts)
    names = tuple(scan.model_names)
    return Outcome(rule, names, len(names), tuple(broken))


def _drift_break(
    scan: Scan, rule: Rule, model: str, other: str, counts: Counts, reference_counts: Counts
) -> list[Break]:
    n, m = int(counts[0].sum()), int(reference_counts[0].sum())
    if not (n and m):
        values = {"kernels": n, "reference_kernels": m}
        return [Break(model, None, f"unknown: {n} kernels against {m} of {other}", values)]
    ratio = scan.component_weights
    value = float(
        drift(probability(counts, scan.edges), probability(reference_counts, scan.edges), ratio)
    )
    if value <= (rule.most_drift or 0):
        return []
    null_mean = null_level(
        float(n), float(m), np.count_nonzero(counts + reference_counts, axis=-1), ratio
    )
    reason = (
        f"drift {value:.4g}, allowed {rule.most_drift:g}, null mean {null_mean:.2g}; from {other}"
    )
    return [Break(model, None, reason, {"drift": value, "null_mean": null_mean})]


def _text_of(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    if value is None:
        return "null"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
