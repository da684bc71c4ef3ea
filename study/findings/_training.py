"""Effects of training on kernels: quality before and after, and where kernels settle."""

import numpy as np
import scipy.stats

from jfilters.questions import trajectories
from jfilters.scans import Scan
from jfilters.scans.internal import DEGENERATE

from ._axes import Rows, with_holm
from ._parts import DESIGN, Parts, about_models

NUMBERS = ("variance_entropy_ratio", "sparsity", "orthogonality", "degenerate")


def stages(parts: Parts) -> Rows:
    """Return the quality of networks before and after training, with a paired test over networks."""
    before, after = (
        {network: means_of(layers) for network, layers in layers_by_network(scan).items()}
        for scan in (parts.initial, parts.trained)
    )
    rows = []
    for name in NUMBERS:
        pairs = np.array([[before[n][name], after[n][name]] for n in sorted(before)])
        moved = np.any(pairs[:, 0] != pairs[:, 1])
        tested = np.asarray(scipy.stats.wilcoxon(*pairs.T)) if moved else None
        rows.append(
            {
                "number": name,
                "networks": len(pairs),
                "initial_mean": float(pairs[:, 0].mean()),
                "trained_mean": float(pairs[:, 1].mean()),
                "networks_higher_after": int(np.sum(pairs[:, 1] > pairs[:, 0])),
                "test": "Wilcoxon, paired",
                "p": None if tested is None else float(tested[1]),
            }
        )
    return with_holm(rows, "p")


def steps(parts: Parts) -> Rows:
    """Return every step of every network of the design, with its drift from the first and to the last."""
    labels = about_models(parts.design)
    rows = []
    for run in trajectories(parts.design):
        last = run.points[-1].step
        whole = run.points[-1].first
        for point in run.points:
            row = labels[point.model]
            rows.append(
                {
                    "network": row["net"],
                    **{name: row[name] for name in DESIGN},
                    "step": point.step,
                    "progress": point.step / last,
                    "drift_from_first": point.first,
                    "drift_to_last": point.last,
                    "null_95": point.null_95,
                    "share_left": point.last / whole if whole else None,
                    "settled": None if run.settled is None else run.settled <= point.step,
                    "score": row["score"],
                }
            )
    return rows


def settling(rows: Rows) -> Rows:
    """Return, by progress, how many networks are settled, and the share of drift that is left."""
    table = []
    for progress in sorted({row["progress"] for row in rows}):
        at = [row for row in rows if row["progress"] == progress]
        shares = [row["share_left"] for row in at if row["share_left"] is not None]
        moved = [row["settled"] for row in at if row["settled"] is not None]
        table.append(
            {
                "progress": progress,
                "networks": len(at),
                "moved_beyond_null": len(moved),
                "settled": sum(moved),
                "median_share_left": float(np.median(shares)),
                "upper_quartile_share_left": float(np.quantile(shares, 0.75)),
            }
        )
    return table


def layers_by_network(scan: Scan) -> dict[str, Rows]:
    """Return the layers of every network of a scan, with 1 for a degenerate layer and 0 for others."""
    layers: dict[str, Rows] = {}
    for row in scan.layer_table.to_pylist():
        counted = row | {"degenerate": float(row["verdict"] in DEGENERATE)}
        layers.setdefault(row["net"], []).append(counted)
    return layers


def means_of(layers: Rows) -> dict[str, float]:
    """Return the mean of each of `NUMBERS` over the layers that have it.

    Layers of fewer kernels than taps have no ratio.
    """
    return {
        name: float(np.mean([row[name] for row in layers if row[name] is not None]))
        for name in NUMBERS
    }
