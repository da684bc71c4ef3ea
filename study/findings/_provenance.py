"""Provenance of the numbers: the networks, the comparisons of each table, versions and hashes."""

import hashlib
import json
import platform
import shutil
from pathlib import Path
from typing import Any

from .._csv import read_csv
from ._axes import Rows

TESTS = {
    "axes": "labels of an axis permuted among networks, or among layers inside each",
    "pairs": "labels of a pair of groups permuted among networks, or among layers inside each",
    "stages": "Wilcoxon, networks before and after training",
    "trends": "values permuted among networks",
    "density": "a classifier on held-out kernels; no test of networks",
}


def networks(population: Path) -> Rows:
    """Return every trained network, with its score and the floor that it had to reach."""
    rows = []
    for row in read_csv(population / "metadata.csv"):
        if row["stage"] == "trained" and row["series"] != "zoo":
            left_out = ("model", "stage", "progress", "score")
            rows.append({name: value for name, value in row.items() if name not in left_out})
    return rows


def comparisons(tables: dict[str, Rows]) -> Rows:
    """Return the comparisons of each table, and how many have p of 0.05 at most before and after Holm."""
    rows = []
    for name, test in TESTS.items():
        p = "classifier_p" if name == "density" else "p"
        tested = [row for row in tables[name] if row[p] is not None]
        rows.append(
            {
                "file": f"{name}.csv",
                "test": test,
                "compared": len(tables[name]),
                "tested": len(tested),
                "p_at_most_0.05": sum(row[p] <= 0.05 for row in tested),
                "p_holm_at_most_0.05": sum(row["p_holm"] <= 0.05 for row in tested),
            }
        )
    return rows


def write_provenance(scan: Path, population: Path, out: Path):
    """Write provenance.json, and beside it the hashes of all weights."""
    shutil.copyfile(population / "hashes.csv", out / "hashes.csv")
    record = json.loads((scan / "scan.json").read_text())
    provenance: dict[str, Any] = {
        "study": json.loads((population / "study.json").read_text()),
        "machine": {"platform": platform.platform(), "python": platform.python_version()},
        "scan": {name: record[name] for name in ("versions", "device", "config", "totals")},
        "sha256": {
            "hashes.csv": _sha256(out / "hashes.csv"),
            "layers.parquet": _sha256(scan / "layers.parquet"),
            "arrays.safetensors": _sha256(scan / "arrays.safetensors"),
        },
    }
    provenance["scan"]["config"].pop("checkpoints", None)
    (out / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
