"""Findings of the papers, and whether they appear here: their number, ours, its null, n and file.

Source of the published numbers: Gavrikov & Keuper, "CNN Filter DB", CVPR 2022, arXiv:2203.15331.
"""

from typing import Any

import numpy as np

from jfilters.questions.internal import variance_ratios
from jfilters.scans import Scan, group_layers

from ._axes import Rows
from ._parts import Parts

VARIANCE_RATIO = (0.39815, 0.18326, 0.11704, 0.09853, 0.06576, 0.05522, 0.03008, 0.02823, 0.02374)
MEDIANS = {"visual_category": 0.42, "task": 0.11, "depth_decile": 0.015}
"""Median D between the groups of an axis, in nats."""
MAXIMA = {"visual_category": 1.36, "task": 0.70, "depth_decile": 0.20}
ALPHA = 0.05


def shares_of_variance(parts: Parts) -> Rows:
    """Return the variance ratio of each component, of populations in bases of their own."""
    scans = {"initial": parts.initial, "trained": parts.trained, "zoo": parts.zoo}
    ratios = {name: _variance_ratio(scan) for name, scan in scans.items()}
    return [
        {"component": i + 1, "paper": VARIANCE_RATIO[i]}
        | {name: own[i] for name, own in ratios.items()}
        for i in range(len(VARIANCE_RATIO))
    ]


def papers(axes: Rows, pairs: Rows, shares: Rows, stages: Rows, trends: Rows) -> Rows:
    """Return one row a finding; `appears` is yes only if the corrected p of its file is at most `ALPHA`."""
    rows = {(row["population"], row["axis"]): row for row in axes if row["balance"] == "models"}
    trained = {axis: rows["trained", axis] for axis in MEDIANS}
    category, task, depth = (trained[axis] for axis in MEDIANS)
    return [
        *(_axis(axis, row) for axis, row in trained.items()),
        _finding(
            "visual categories shift kernels more than tasks do",
            "median D 0.42 against 0.11",
            f"{category['median']:.4f} against {task['median']:.4f}",
            f"D0 {category['debiased']:.4f} and {task['debiased']:.4f}",
            category,
            "axes.csv",
            category["median"] > task["median"] and category["p_holm"] <= ALPHA,
        ),
        _finding(
            "tasks shift kernels more than depth does",
            "median D 0.11 against 0.015",
            f"{task['median']:.4f} against {depth['median']:.4f}",
            f"D0 {task['debiased']:.4f} and {depth['debiased']:.4f}",
            task,
            "axes.csv",
            task["median"] > depth["median"] and task["p_holm"] <= ALPHA,
        ),
        _first_and_last(pairs, rows["trained", "depth_decile"]),
        _first_component(shares, rows["trained", "task"]),
        _randomness(stages),
        *(_trend(row) for row in trends if row["number"] == "degenerate"),
    ]


def _axis(axis: str, row: dict[str, Any]) -> dict[str, Any]:
    name = axis.replace("_", " ")
    return _finding(
        f"kernels shift along the axis {name}",
        f"median D {MEDIANS[axis]}, at most {MAXIMA[axis]}",
        f"median D {row['median']:.4f}, at most {row['maximum']:.4f} ({row['furthest']})",
        f"D0 {row['debiased']:.4f}",
        row,
        "axes.csv",
        row["p_holm"] <= ALPHA,
    )


def _finding(
    what: str,
    paper: str,
    ours: str,
    null: str,
    row: dict[str, Any],
    file: str,
    appears: bool,
) -> dict[str, Any]:
    n = f"{row['models']} networks, {row['kernels']} kernels"
    finding = {"finding": what, "paper": paper, "ours": ours, "null": null, "n": n}
    return finding | {"p_holm": row["p_holm"], "file": file, "appears": _yes(appears)}


def _first_and_last(pairs: Rows, row: dict[str, Any]) -> dict[str, Any]:
    deciles = [
        pair for pair in pairs if pair["axis"] == "depth_decile" and pair["drift"] is not None
    ]
    furthest = max(deciles, key=lambda pair: pair["drift"])
    # 1x1 layers have a depth but no kernels: the last decile may be empty.
    ends = {min(pair["first"] for pair in deciles), max(pair["second"] for pair in deciles)}
    pair = next(x for x in deciles if {x["first"], x["second"]} == ends)
    return _finding(
        "of all depths the first and the last decile are furthest apart",
        "D 0.20",
        f"D {pair['drift']:.4f}; furthest are {furthest['first']} and {furthest['second']} with "
        f"{furthest['drift']:.4f}",
        f"95 % of samples below {pair['sampling_95']:.4f}",
        row | {"p_holm": pair["p_holm"]},
        "pairs.csv",
        furthest is pair and pair["p_holm"] <= ALPHA,
    )


def _first_component(shares: Rows, row: dict[str, Any]) -> dict[str, Any]:
    first = shares[0]
    return _finding(
        "one component carries four tenths of the variance",
        f"{VARIANCE_RATIO[0]:.3f}",
        f"{first['trained']:.3f} (zoo {first['zoo']:.3f})",
        f"{first['initial']:.3f} before training",
        row | {"p_holm": None},
        "shares_of_variance.csv",
        0.3 <= first["trained"] <= 0.5,
    )


def _randomness(stages: Rows) -> dict[str, Any]:
    row = next(row for row in stages if row["number"] == "variance_entropy_ratio")
    return {
        "finding": "training takes layers below the entropy of random ones",
        "paper": "H / T_H of 1 or more means random",
        "ours": f"mean H / T_H {row['trained_mean']:.3f}",
        "null": f"{row['initial_mean']:.3f} before training",
        "n": f"{row['networks']} networks",
        "p_holm": row["p_holm"],
        "file": "stages.csv",
        "appears": _yes(row["p_holm"] <= ALPHA and row["trained_mean"] < row["initial_mean"]),
    }


def _trend(row: dict[str, Any]) -> dict[str, Any]:
    more = {"width": "wider networks have", "train_size": "networks of less data have"}[row["axis"]]
    sign = 1 if row["axis"] == "width" else -1
    rho, p = row["spearman"], row["p_holm"]
    return {
        "finding": f"{more} more degenerate layers",
        "paper": "in words only",
        "ours": "the same share in all" if rho is None else f"rank correlation {rho:+.2f}",
        "null": "0",
        "n": f"{row['networks']} networks",
        "p_holm": p,
        "file": "trends.csv",
        "appears": _yes(rho is not None and sign * rho > 0 and p <= ALPHA),
    }


def _yes(appears: bool) -> str:
    return "yes" if appears else "no"


def _variance_ratio(scan: Scan) -> list[float]:
    (own,) = variance_ratios(scan, group_layers(scan, "spatial"))
    return np.asarray(own, float).tolist()
