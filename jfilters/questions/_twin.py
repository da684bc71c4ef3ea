"""A rule on deployed networks: every model is the trained one, folded, rounded or quantized at most.

The weights of both are read. A model whose checkpoint is gone or has changed since the scan is unknown.
"""

from typing import Any

from ..compare.internal import Deployment, deployment
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
        result = deployment(trained, deployed)
    except (CheckpointError, OSError) as error:
        return None if rule.unknown == "pass" else Break(model, None, f"unknown: {error}", {})
    return None if result.is_same else Break(model, None, result.text, _values(result))


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


def _values(result: Deployment) -> dict[str, Any]:
    steps = [layer.steps for layer in result.layers if layer.steps == layer.steps]
    differing = sum(not layer.is_same for layer in result.layers)
    return {
        "relation": result.comparison.relation.label,
        "layers_differing": differing,
        "largest_deviation": max(steps, default=None),
    }
