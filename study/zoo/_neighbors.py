"""Labels of networks by their nearest neighbor: in D, and in size alone, where kin are left out."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from jfilters.questions import drift_between
from jfilters.questions.internal import LABEL_AXES, family_mean, label_hits, size_distances
from jfilters.scans import Scan

from ._networks import Rows


def neighbors(scan: Scan, rows: Rows) -> Rows:
    """Return how many networks have the label of the nearest one outside their family.

    `share` counts networks, `share_of_families` gives every family the same weight. Several that are
    equally near count by their share. Without a distance, every network gets the most common label.
    """
    table = drift_between(scan, "model", permutations=0, replicates=0)
    by_name = {row["model"]: row for row in rows}
    ordered = [by_name[model] for model in table.labels]
    families = np.array([row["family"] for row in ordered])
    distances = {"D": table.matrix, "size": size_distances(ordered), "none": None}
    return [
        {"axis": axis, "distance": name} | _shares(hits, families)
        for axis in LABEL_AXES
        for name, distance in distances.items()
        for hits in [_hits(distance, families, [row[axis] for row in ordered])]
    ]


def _hits(
    distance: np.ndarray | None, families: np.ndarray, labels: Sequence[str | None]
) -> np.ndarray:
    """Return for each network the share of its nearest ones with its label; NaN where it has none."""
    values = np.array(labels, object)
    has_label = np.array([label is not None for label in labels])
    hits = np.full(len(values), np.nan)
    if distance is None:
        common = Counter(values[has_label]).most_common(1)[0][0]
        hits[has_label] = values[has_label] == common
    else:
        square = np.ix_(has_label, has_label)
        hits[has_label] = label_hits(distance[square], families[has_label], values[has_label])
    return hits


def _shares(hits: np.ndarray, families: np.ndarray) -> dict[str, float]:
    labeled = ~np.isnan(hits)
    hits, families = hits[labeled], families[labeled]
    return {
        "networks": len(hits),
        "share": float(hits.mean()),
        "share_of_families": family_mean(hits, families),
    }
