"""The tables of the study: the design, the metadata of every checkpoint, and its hash.

`jfilters scan --meta` reads metadata.csv; it has one row a checkpoint, so several a network. Real networks
that were fetched into checkpoints/zoo are in it too.
"""

import dataclasses
import json
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ._csv import read_csv, write_csv
from ._design import Run
from ._one import CHECKPOINTS, floor_of, record_file
from ._settings import Settings

NETWORK_COLUMNS = (
    *("series", "visual_category", "task", "architecture", "seed", "framework", "width"),
    *("train_size", "parameters", "metric", "trivial", "floor", "tries"),
)
"""Columns that are the same for all checkpoints of a network."""


ZOO = "zoo"
"""The folder of real networks below the checkpoints, and the label of their series."""

PACKAGES = (
    *("jfilters", "jax", "jaxlib", "flax", "equinox", "optax", "orbax-checkpoint", "torch", "onnx"),
    *("safetensors", "numpy", "scipy", "scikit-learn", "scikit-image", "matplotlib", "pillow"),
)
"""Packages that the networks, and the images they are trained on, depend on."""


def write_design(runs: Iterable[Run], settings: Settings, out: Path):
    """Write design.csv, one row a network that is to be trained, and study.json: settings and versions."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"run": run.name, **dataclasses.asdict(run), "floor": floor_of(run, settings)}
        for run in runs
    ]
    write_csv(out / "design.csv", rows)
    provenance = {
        "settings": dataclasses.asdict(settings),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    (out / "study.json").write_text(json.dumps(provenance, indent=1) + "\n")


def records(runs: Iterable[Run], out: Path) -> list[dict[str, Any]]:
    """Return the records of the finished runs."""
    files = (record_file(out, run) for run in runs)
    return [json.loads(file.read_text()) for file in files if file.is_file()]


def write_tables(finished: Iterable[dict[str, Any]], out: Path):
    """Write metadata.csv and hashes.csv of finished networks."""
    pairs = [(record, checkpoint) for record in finished for checkpoint in record["kept"]]
    own = [_metadata(record, checkpoint) for record, checkpoint in pairs]
    write_csv(out / "metadata.csv", own + _of_zoo(out, own))
    hashes = [
        {"model": checkpoint["model"], "kernels_sha256": checkpoint["kernels"]}
        for _, checkpoint in pairs
    ]
    write_csv(out / "hashes.csv", hashes)


def _metadata(record: dict[str, Any], checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a checkpoint.

    Scans have columns `step` and `network`, hence `trained_steps` and `net`.
    """
    step, last = checkpoint["step"], record["steps"]
    stage = "initial" if step == 0 else "trained" if step == last else "between"
    labels = {"net": checkpoint["model"].partition("/")[0]} | {
        name: record[name] for name in NETWORK_COLUMNS
    }
    reached = {"score": f"{checkpoint['score']:.4f}", "final_score": f"{record['score']:.4f}"}
    when = {"stage": stage, "trained_steps": step, "progress": step / last}
    labels["trivial"] = f"{record['trivial']:.4f}"
    return {"model": checkpoint["model"], **labels, **reached, **when}


def _of_zoo(out: Path, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the zoo's own table, under the same columns."""
    table = out / CHECKPOINTS / ZOO / "metadata.csv"
    if not own or not table.is_file():
        return []
    rows = []
    for row in read_csv(table):
        labels = {name: value for name, value in row.items() if name in own[0]}
        name = f"{ZOO}/{row['model']}"
        rows.append(labels | {"model": name, "net": name, "series": ZOO, "stage": "trained"})
    return [dict.fromkeys(own[0], "") | row for row in rows]
