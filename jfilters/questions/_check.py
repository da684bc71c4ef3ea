"""Rules checked against a scan, with the models and layers that break them and their numbers."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from ..errors import unknown_choice
from ..scans import Condition, Scan, all_axes, open_scan, where
from ..scans.internal import check_comparable, check_same_sparse, column, model_counts
from ..shift import drift, drift_null, probability
from ._outcomes import Break, Outcome, Outcomes
from ._rules import Rule, read_rules

if TYPE_CHECKING:
    from .lineage import Forest

Counts = Int64[np.ndarray, "d bins"]


def check(scan: Scan, rules: Path | str) -> Outcomes:
    """Check a scan against every rule of a file; a rule that is about nothing holds.

    Runs on the host and needs no JAX. Rules on lineage read the weights of kin once for all of them, and
    rules with a twin those of every model.

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
    forest = functools.cache(lambda: _forest(scan))
    return Outcomes(_outcome(scan, rule, path, forest) for rule in read_rules(path))


def _forest(scan: Scan) -> "Forest":
    from .lineage import find_lineage  # with scipy.sparse, which other rules do not need

    return find_lineage(scan)


def _outcome(scan: Scan, rule: Rule, path: Path, forest: "Callable[[], Forest]") -> Outcome:
    try:
        outcome = _checked(scan, rule, forest)
        return dataclasses.replace(outcome, partial=scan.partial_models(outcome.models))
    except ValueError as error:
        raise ValueError(f"{path}: rule {rule.name!r}: {error}") from error


def _checked(scan: Scan, rule: Rule, forest: "Callable[[], Forest]") -> Outcome:
    if rule.reference is not None:
        return _drifts(scan, rule)
    if rule.twin is not None:
        from ._twin import (
            twin_outcome,
        )  # with the comparison of weights, which other rules do not need

        return twin_outcome(scan, rule)
    if not rule.is_of_lineage:
        return _conditions(scan, rule)
    from ._descent import descent_outcome, frozen_outcome

    outcome = frozen_outcome if rule.frozen else descent_outcome
    return outcome(scan, rule, forest())


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
        noun = f"a model of {reference.folder}"
        raise ValueError(unknown_choice(noun, rule.model, reference.model_names))
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
    null_mean = drift_null(counts + reference_counts, (n, m), ratio, scan.edges).mean
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
