"""The worth of neighbors as a classifier: labels told by the nearest model, against size alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..scans import Scan
from ..scans.internal import model_counts
from ..shift import drift_matrix, probability

LABEL_AXES = ("task", "visual_category")
SIZES = ("n_layers", "n_kernels", "bytes")
"""What size alone is: the distance in the logarithms of these."""

FEWEST = 20
"""Models with a label from which a share is told."""


@dataclass(frozen=True)
class NeighborLabels:
    """How often the nearest model outside the family has the label of a model, each family counting once.

    - `axis`: the labels; `models`, `families`: those with one.
    - `by_drift`, `by_size`: the share where the nearest is that in D, or in size alone.
    - `by_chance`: the share of the most common label.
    """

    axis: str
    models: int
    families: int
    by_drift: float
    by_size: float
    by_chance: float


def neighbor_labels(
    scan: Scan, drifts: Float[np.ndarray, "m m"] | None = None
) -> tuple[NeighborLabels, ...]:
    """Return for task and data how often the nearest model of a scan has the same label, kin left out.

    An axis that the scan lacks, with fewer than `FEWEST` labeled models or a single family, is left out.

    Args:
        scan: the models, with their families.
        drifts: D between all models of the scan, in the order of `model_names`; NaN where it is unknown.
            Computed if it is not there.
    """
    rows = {row["model"]: row for row in scan.model_table.to_pylist()}
    models = [rows[name] for name in scan.model_names]
    axes = [axis for axis in LABEL_AXES if axis in scan.layer_table.column_names]
    if not axes or len(models) < FEWEST:
        return ()
    families = np.array([row.get("family") or row["model"] for row in models], object)
    if drifts is None:
        probabilities = np.asarray(probability(model_counts(scan), scan.edges))
        drifts = drift_matrix(probabilities, scan.component_weights)
    sizes = size_distances(models)
    answers = (_of_axis(scan, axis, families, drifts, sizes) for axis in axes)
    return tuple(answer for answer in answers if answer is not None)


def _of_axis(
    scan: Scan,
    axis: str,
    families: np.ndarray,
    drifts: Float[np.ndarray, "m m"],
    sizes: Float[np.ndarray, "m m"],
) -> NeighborLabels | None:
    of_model = dict(
        zip(scan.model_of_layer.tolist(), scan.layer_table[axis].to_pylist(), strict=True)
    )
    labels = np.array([of_model[i] for i in range(len(families))], object)
    labeled = np.array([label is not None for label in labels], bool)
    n_families = len(set(families[labeled]))
    if labeled.sum() < FEWEST or n_families < 2:
        return None
    labels, families, square = labels[labeled], families[labeled], np.ix_(labeled, labeled)
    hits = (label_hits(distance[square], families, labels) for distance in (drifts, sizes))
    common = Counter(labels.tolist()).most_common(1)[0][0]
    shares = [family_mean(hit, families) for hit in (*hits, np.asarray(labels == common, float))]
    return NeighborLabels(axis, len(labels), n_families, *shares)


def size_distances(models: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, "m m"]:
    """Return the distance of every two models in size alone, from the columns `SIZES` of their rows."""
    sizes = np.log([[max(row[name] or 1, 1) for name in SIZES] for row in models])
    return np.linalg.norm(sizes[:, None] - sizes, axis=-1)


def label_hits(
    distance: Float[np.ndarray, "m m"], families: np.ndarray, labels: np.ndarray
) -> Float[np.ndarray, " m"]:
    """Return for each model the share of its nearest ones outside its family with its label."""
    is_stranger = (families[:, None] != families) & np.isfinite(distance)
    allowed = np.where(is_stranger, distance, np.inf)
    is_nearest = is_stranger & (allowed <= allowed.min(axis=1, keepdims=True))
    same = is_nearest & (labels[:, None] == labels)
    return same.sum(axis=1) / np.maximum(is_nearest.sum(axis=1), 1)


def family_mean(hits: Float[np.ndarray, " m"], families: np.ndarray) -> float:
    """Return the mean over families of the means of their models."""
    return float(np.mean([hits[families == family].mean() for family in np.unique(families)]))
