"""A rule on deployed networks: every model is the trained one, folded, rounded or quantized at most.

The weights of both are read. A model whose checkpoint is gone or has changed since the scan is unknown.
"""

from typing import Any

from ..compare import Comparison, compare_pair
from ..converters import Checkpoint, location, open_checkpoint
from ..converters.internal import identity, is_remote
from ..errors import CheckpointError
from ..scans import Scan
from ..scans.internal import checkpoint_of
from ._outcomes import Break, Outcome, models_of
from ._rules import Rule


def twin_outcome(scan: Scan, rule: Rule) -> Outcome:
    """Check that every model is the network of the rule's checkpoint as it was trained."""
    trained = open_checkpoint(location(str(rule.twin)), **_options(scan))
    models = models_of(scan, rule)
    entries = {entry["model"]: entry for entry in scan.record["checkpoints"]}
    breaks = (
        _break(scan, rule, trained, model, entries.get(checkpoint_of(model, entries), {}))
        for model in models
    )
    broken = [entry for entry in breaks if entry]
    return Outcome(rule, tuple(models), len(models), tuple(broken))


def _break(
    scan: Scan, rule: Rule, trained: Checkpoint, model: str, entry: dict[str, Any]
) -> Break | None:
    deployed, reason = _opened(scan, entry)
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


def _opened(scan: Scan, entry: dict[str, Any]) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint of an entry; None with the reason where it is not that of the scan any more."""
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
