"""The population: its networks, how many of each kind there are, and the twins among them."""

import itertools
from collections import Counter
from operator import itemgetter
from typing import Any

from jfilters.questions import drift_between
from jfilters.scans import Scan

Rows = list[dict[str, Any]]

LABELS = (
    *("task", "dataset", "visual_category", "architecture"),
    *("license", "package", "source", "twin_of"),
)
LARGEST_TASK = "super-resolution"
OTHERS = f"task != '{LARGEST_TASK}'"


def populations(scan: Scan) -> dict[str, Scan]:
    """Return all networks, and those of other tasks than the one that nearly half of them have."""
    return {"all": scan, f"without {LARGEST_TASK}": scan.where(OTHERS)}


def networks(scan: Scan) -> Rows:
    """Return one row a network: its labels, its size, the family that was found, and its quality."""
    labels = {row["model"]: row for row in scan.layer_table.to_pylist()}
    numbers = (
        "bytes",
        "n_layers",
        "n_kernels",
        "sparsity",
        "variance_entropy_ratio",
        "n_degenerate",
    )
    return [
        {"model": row["model"], "format": row["format"], "family": row["family"]}
        | {name: labels[row["model"]][name] for name in LABELS}
        | {name: row[name] for name in numbers}
        for row in scan.model_table.to_pylist()
    ]


def totals(rows: Rows) -> Rows:
    """Return the number of networks, families and so on, of the rows of `networks`."""
    others = [row for row in rows if row["task"] != LARGEST_TASK]
    return [
        {
            "population": name,
            "networks": len(part),
            "families": len({row["family"] for row in part}),
            "packages": len({row["package"] for row in part}),
            "formats": len({row["format"] for row in part}),
            "tasks": len({row["task"] for row in part}),
            "visual_categories": len({row["visual_category"] for row in part} - {None}),
            "twins": sum(row["twin_of"] is not None for row in part),
            "layers": sum(row["n_layers"] for row in part),
            "kernels": sum(row["n_kernels"] for row in part),
            "share_of_networks": len(part) / len(rows),
        }
        for name, part in {"all": rows, f"without {LARGEST_TASK}": others}.items()
    ]


def kinds(rows: Rows) -> Rows:
    """Return how many networks and families each task, category and format has, the largest first."""
    counted = []
    for axis in ("task", "visual_category", "format"):
        counts = Counter(row[axis] for row in rows if row[axis] is not None)
        for value, count in counts.most_common():
            families = {row["family"] for row in rows if row[axis] == value}
            counted.append(
                {"axis": axis, "value": value, "networks": count, "families": len(families)}
            )
    return counted


def twins(scan: Scan, rows: Rows) -> Rows:
    """Return one row a pair of twins: their formats, D between them, and if one family holds both."""
    table = drift_between(scan, "model", permutations=0, replicates=0)
    place = {model: i for i, model in enumerate(table.labels)}
    by_name = {row["model"]: row for row in rows}
    pairs = [(row, by_name.get(row["twin_of"])) for row in rows if row["twin_of"]]
    return [
        {
            "model": row["model"],
            "twin": twin["model"],
            "formats": " and ".join(sorted({row["format"], twin["format"]})),
            "drift": float(table.matrix[place[row["model"]], place[twin["model"]]]),
            "same_family": _yes(row["family"] == twin["family"]),
        }
        for row, twin in pairs
        if twin is not None
    ]


def twins_by_format(rows: Rows) -> Rows:
    """Return for each pair of formats how many twins there are, how many were found, and the largest D."""
    ordered = sorted(rows, key=lambda row: row["formats"])
    groups = [
        (formats, list(group))
        for formats, group in itertools.groupby(ordered, itemgetter("formats"))
    ]
    return [
        {
            "formats": formats,
            "twins": len(group),
            "same_family": sum(row["same_family"] == "yes" for row in group),
            "largest_drift": max(row["drift"] for row in group),
        }
        for formats, group in [("all", ordered), *groups]
        if group
    ]


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
