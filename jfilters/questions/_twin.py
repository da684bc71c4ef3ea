"""A rule on deployed networks: every model is the trained one, folded, rounded or quantized at most.

The weights of both are read. A model whose checkpoint is gone or has changed since the scan is unknown.
"""

from typing import Any

from ..compare import Comparison, compare_pair
from ..converters import Checkpoint, location, open_checkpoint
from ..converters.internal import identity, is_remote
from ..errors import CheckpointError
from ..scans import Condition, Scan
from ..scans.internal import checkpoint_of
from ._outcomes import Break, Outcome
from ._rules import Rule


def twin_outcome(scan: Scan, rule: Rule) -> Outcome:
    """Check that every model is the network of the rule's checkpoint as it was trained."""
    trained = open_checkpoint(location(str(rule.twin)), **_options(scan))
    models = _models(scan, rule)
    broken = [entry for model in models if (entry := _break(scan, rule, trained, model))]
    return Outcome(rule, tuple(models), len(models), tuple(broken))


def _models(scan: Scan, rule: Rule) -> list[str]:
    """Return the models for which `where` holds."""
    if rule.where is None:
        return scan.model_names
    condition = Condition(rule.where, scan.model_table.column_names)
    return [row["model"] for row in scan.model_table.to_pylist() if condition.holds(row) is True]


def _break(scan: Scan, rule: Rule, trained: Checkpoint, model: str) -> Break | None:
    deployed, reason = _opened(scan, model)
    if deployed is None:
        return None if rule.unknown == "pass" else Break(model, None, f"unknown: {reason}", {})
    try:
        comparison = compare_pair(trained, deployed, detailed=False)
    except (CheckpointError, OSError) as error:
        return None if rule.unknown == "pass" else Break(model, None, f"unknown: {error}", {})
    result, label = comparison.deployment, comparison.relation.label
    if result.is_same:
        return None
    return Break(model, None, f"{label}, {result.text}", _values(comparison))


def _opened(scan: Scan, model: str) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint of a model; None with the reason where it is not that of the scan any more."""
    entries = {entry["model"]: entry for entry in scan.record["checkpoints"]}
    entry = entries.get(checkpoint_of(model, entries), {})
    try:
        path = location(entry["path"])
        if _is_changed(path, entry):
            return None, "its checkpoint has changed since the scan"
        return open_checkpoint(path, **_options(scan)), ""
    except KeyError:
        return None, "the scan does not say where its checkpoint lies"
    except (CheckpointError, OSError) as error:
        return None, str(error)


def _is_changed(path: Any, entry: dict[str, Any]) -> bool:
    version = None if is_remote(path) else identity(path)
    said = str(entry.get("identity")).split(" ")[0]
    return version is not None and said != version.split(" ")[0]


def _options(scan: Scan) -> dict[str, Any]:
    config = scan.record["config"]
    return {
        "axes": config.get("axes"),
        "network": config.get("network"),
        "standardize": bool(config.get("standardize")),
    }


def _values(comparison: Comparison) -> dict[str, Any]:
    """Return the numbers of a model that is another network."""
    deviations = [layer.deviation.steps for layer in comparison.layers if layer.deviation]
    return {
        "relation": comparison.relation.label,
        "layers_differing": len(comparison.deployment.differing),
        "largest_deviation": max((x for x in deviations if x == x), default=None),
    }
