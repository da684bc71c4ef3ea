"""What the papers report of layers: variance ratios, verdicts by task and by depth."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jfilters.questions.internal import variance_ratios
from jfilters.scans import Scan, axis_values, group_layers

from ..findings._papers import VARIANCE_RATIO
from ._networks import Rows, populations

VERDICTS = ("healthy", "random-like", "low-diversity", "sparse", "collapsed", "all-zero")
TOO_FEW = "too-few-kernels"


def shares_of_variance(scan: Scan) -> Rows:
    """Return the variance ratio of each component, of every population in a basis of its own."""
    ratios = {name: _variance_ratio(part) for name, part in populations(scan).items()}
    return [
        {"component": i + 1, "paper": paper} | {name: own[i] for name, own in ratios.items()}
        for i, paper in enumerate(VARIANCE_RATIO)
    ]


def verdicts(scan: Scan) -> Rows:
    """Return the share of layers of each verdict, for every task, tenth of depth and kind of layer.

    Layers of too few kernels say nothing, and are not in the shares.
    """
    rows = []
    for name, part in populations(scan).items():
        layers = part.layer_table.to_pylist()
        rows.append({"population": name, "axis": "all", "value": "all"} | _shares(layers))
        for axis in ("task", "depth_decile", "first_layer", "depthwise"):
            for value, group in _grouped(layers, axis_values(part, axis)):
                rows.append({"population": name, "axis": axis, "value": value} | _shares(group))
    return rows


def _grouped(
    layers: Sequence[dict[str, Any]], values: Iterable[object]
) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row, value in zip(layers, values, strict=True):
        if value is not None:
            groups.setdefault(str(value), []).append(row)
    return sorted(groups.items())


def _shares(layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    labels = [row["verdict"] for row in layers if row["verdict"] != TOO_FEW]
    shares = {
        verdict.replace("-", "_"): labels.count(verdict) / len(labels) if labels else None
        for verdict in VERDICTS
    }
    kernels = sum(row["n_kernels"] for row in layers)
    sparse = sum(row["n_sparse"] for row in layers) / kernels if kernels else None
    counts = {"layers": len(labels), "too_few_kernels": len(layers) - len(labels)}
    return (
        {"networks": len({row["model"] for row in layers})}
        | counts
        | shares
        | {"sparse_kernels": sparse}
    )


def _variance_ratio(scan: Scan) -> list[float]:
    (own,) = variance_ratios(scan, group_layers(scan, "spatial"))
    return np.asarray(own, float).tolist()
