"""Drift between models of one kind beside drift between models of different kinds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...scans import Scan
from ...scans.internal import model_labels
from ._drift import drift_between
from ._pair import FEWEST
from ._table import DriftTable


@dataclass(frozen=True, eq=False)
class ModelPairs:
    """The values of all pairs of models with the same label on an axis, and with different ones.

    `models` have a label and are compared; `small` have one and fewer than `FEWEST` kernels, which say
    nothing; `unknown` have none.
    """

    by: str
    metric: str
    within: Float[np.ndarray, " same"]
    between: Float[np.ndarray, " different"]
    models: int
    small: int
    unknown: int


def model_pairs(
    scan: Scan, axes: Sequence[str], *, metric: str = "drift", clean: bool = False
) -> tuple[ModelPairs, ...]:
    """Return the values of pairs of models within and between the groups of every axis; in nats for drift.

    Raises ValueError for an axis that is not there or divides the layers of one model, and for fewer
    than two models.
    """
    labels = [model_labels(scan, axis) for axis in axes]
    table = drift_between(scan, "model", metric=metric, clean=clean, permutations=0, replicates=0)
    place = {model: i for i, model in enumerate(scan.model_names)}
    order = [place[model] for model in table.labels]
    return tuple(
        _pairs(axis, table, [of_models[i] for i in order])
        for axis, of_models in zip(axes, labels, strict=True)
    )


def _pairs(axis: str, table: DriftTable, labels: list[object]) -> ModelPairs:
    has_label = np.array([label is not None for label in labels])
    large = np.array([size.kernels >= FEWEST for size in table.sizes])
    places = np.flatnonzero(has_label & large)
    rows, columns = (places[pairs] for pairs in np.triu_indices(len(places), 1))
    is_same = np.array([labels[i] == labels[j] for i, j in zip(rows, columns, strict=True)], bool)
    values = table.matrix[rows, columns]
    small, unknown = int(np.sum(has_label & ~large)), int(np.sum(~has_label))
    return ModelPairs(
        axis, table.metric, values[is_same], values[~is_same], len(places), small, unknown
    )
