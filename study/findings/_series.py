"""Degenerate layers by width and by the number of images: networks that differ in nothing else."""

import numpy as np
import scipy.stats

from ._axes import SEED, Rows, with_holm
from ._parts import Parts
from ._training import NUMBERS, layers_by_network, means_of

PERMUTATIONS = 9_999
AXES = ("width", "train_size")


def series(parts: Parts) -> Rows:
    """Return one row a network of the two series: the means of its layers."""
    rows = []
    for axis in AXES:
        for network, own in layers_by_network(parts.series(axis)).items():
            about = {"axis": axis, "value": own[0][axis], "network": network}
            about |= {"layers": len(own), "kernels": sum(row["n_kernels"] for row in own)}
            rows.append(about | means_of(own) | {"score": own[0]["score"]})
    return sorted(rows, key=lambda row: (row["axis"], row["value"], row["network"]))


def means(rows: Rows) -> Rows:
    """Return these means over the networks of each width and of each number of images."""
    table = []
    for axis, value in dict.fromkeys((row["axis"], row["value"]) for row in rows):
        own = [row for row in rows if (row["axis"], row["value"]) == (axis, value)]
        about = {"axis": axis, "value": value, "networks": len(own)}
        table.append(
            about | {x: float(np.mean([row[x] for row in own])) for x in (*NUMBERS, "score")}
        )
    return table


def trends(rows: Rows) -> Rows:
    """Return Spearman's rank correlation of every number with width and with data size, over networks."""
    table = []
    for axis in AXES:
        own = [row for row in rows if row["axis"] == axis]
        for name in NUMBERS:
            x, y = (np.array([row[key] for row in own], float) for key in ("value", name))
            table.append({"axis": axis, "number": name, "networks": len(own), **_trend(x, y)})
    return with_holm(table, "p")


def _trend(x: np.ndarray, y: np.ndarray) -> dict[str, float | str | None]:
    if len(np.unique(y)) < 2:
        return {"spearman": None, "test": "permutation", "p": None}
    result = scipy.stats.permutation_test(
        (x,),
        lambda a: scipy.stats.spearmanr(a, y)[0],
        permutation_type="pairings",
        n_resamples=PERMUTATIONS,
        rng=np.random.default_rng(SEED),
    )
    return {"spearman": float(result.statistic), "test": "permutation", "p": float(result.pvalue)}
