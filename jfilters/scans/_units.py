"""Units of a scan: what was trained by itself, and what a test therefore exchanges.

Networks that are kin, and checkpoints of one run, are one unit: a test that takes them for independent
networks finds differences everywhere.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Int64

from ._axes import axis_values

if TYPE_CHECKING:
    from ._scan import Scan

AUTO, MODEL = "auto", "model"


class Units(NamedTuple):
    """The unit of every model of a scan, by numbers from 0 in the order of the models.

    `kind` tells the units apart: "model", "family", "run", "family or run", or the name of a column.
    """

    kind: str
    of_model: Int64[np.ndarray, " models"]


def units_of(scan: "Scan", unit: str = AUTO) -> Units:
    """Return the units of a scan.

    Args:
        scan: in memory or opened.
        unit: "auto" for families and runs, where there are any, else models; "model"; or an axis with one
            label a model. Models without a label are units of their own.

    Raises:
        ValueError: for an axis that is not there, or that divides the layers of a model.
    """
    n = len(scan.model_names)
    if unit == MODEL:
        return Units(MODEL, np.arange(n))
    if unit != AUTO:
        return Units(unit, _joined(n, [model_labels(scan, unit)]))
    labels = {name: _column(scan, name) for name in ("family", "run")}
    groups = {name: values for name, values in labels.items() if _has_kin(values)}
    return Units(" or ".join(groups) or MODEL, _joined(n, list(groups.values())))


def model_labels(scan: "Scan", by: str) -> list[object]:
    """Return the label of every model along an axis, in the order of `model_names`; None where unknown.

    Raises ValueError for an axis that is not there or divides the layers of one model.
    """
    labels: dict[int, object] = {}
    if by in scan.model_table.column_names and by not in scan.layer_table.column_names:
        return _column(scan, by)
    for model, label in zip(scan.model_of_layer.tolist(), axis_values(scan, by), strict=True):
        if labels.setdefault(model, label) != label:
            raise ValueError(
                f"expected an axis of whole models, got {by}: it divides the layers of "
                f"{scan.model_names[model]}"
            )
    return [labels.get(i) for i in range(len(scan.model_names))]


def _column(scan: "Scan", name: str) -> list[object]:
    """Return a column of models in the order of `model_names`; None where a model has no row."""
    if name not in scan.model_table.column_names:
        return [None] * len(scan.model_names)
    models, values = (scan.model_table[x].to_pylist() for x in ("model", name))
    of_model = dict(zip(models, values, strict=True))
    return [of_model.get(model) for model in scan.model_names]


def _has_kin(labels: Sequence[object]) -> bool:
    filled = [label for label in labels if label is not None]
    return len(set(filled)) < len(filled)


def _joined(n: int, partitions: Sequence[Sequence[object]]) -> Int64[np.ndarray, " models"]:
    """Return the number of each model's unit: models with a label in common are in one."""
    parent = list(range(n))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for labels in partitions:
        firsts: dict[object, int] = {}
        for place, label in enumerate(labels):
            if label is not None:
                parent[root(place)] = root(firsts.setdefault(label, place))
    roots = [root(place) for place in range(n)]
    numbers = {first: number for number, first in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[first] for first in roots], np.int64)
