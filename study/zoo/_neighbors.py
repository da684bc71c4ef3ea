"""Labels of networks by their nearest neighbor: in D, and in size alone, where kin are left out."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from jfilters.questions import drift_between
from jfilters.scans import Scan

from ._networks import Rows

AXES = ("task", "visual_category")
SIZES = ("n_layers", "n_kernels", "bytes")
"""What size alone is: the distance in the logarithms of these."""


def neighbors(scan: Scan, rows: Rows) -> Rows:
    """Return how many networks have the label of the nearest one outside their family.

    `share` counts networks, `share_of_families` gives every family the same weight. Several that are
    equally near count by their share. Without a distance, every network gets the most common label.
    """
    table = drift_between(scan, "model", permutations=0, replicates=0)
    by_name = {row["model"]: row for row in rows}
    ordered = [by_name[model] for model in table.labels]
    families = np.array([row["family"] for row in ordered])
    distances = {"D": table.matrix, "size": _in_size(ordered), "none": None}
    return [
        {"axis": axis, "distance": name} | _shares(hits, families)
        for axis in AXES
        for name, distance in distances.items()
        for hits in [_hits(distance, families, [row[axis] for row in ordered])]
    ]


def _in_size(rows: Rows) -> np.ndarray:
    sizes = np.log([[row[name] for name in SIZES] for row in rows])
    return np.linalg.norm(sizes[:, None] - sizes, axis=-1)


def _hits(
    distance: np.ndarray | None, families: np.ndarray, labels: Sequence[str | None]
) -> np.ndarray:
    """Return for each network the share of its nearest ones with its label; NaN where it has none."""
    values = np.array(labels, object)
    has_label = np.array([label is not None for label in labels])
    if distance is None:
        common = Counter(values[has_label]).most_common(1)[0][0]
        return np.where(has_label, values == common, np.nan)
    is_kin = families[:, None] == families
    allowed = np.where(is_kin | ~has_label | ~np.isfinite(distance), np.inf, distance)
    is_nearest = allowed <= allowed.min(1, keepdims=True)
    shares = (is_nearest & (values[:, None] == values)).sum(1) / is_nearest.sum(1)
    return np.where(has_label, shares, np.nan)


def _shares(hits: np.ndarray, families: np.ndarray) -> dict[str, float]:
    labeled = ~np.isnan(hits)
    hits, families = hits[labeled], families[labeled]
    means = [hits[families == family].mean() for family in np.unique(families)]
    return {
        "networks": len(hits),
        "share": float(hits.mean()),
        "share_of_families": float(np.mean(means)),
    }
