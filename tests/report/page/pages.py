"""A made-up scan that fills every part of the page, and what a page carries read back."""

import base64
import dataclasses
import json

import numpy as np
import pyarrow as pa

from tests.scans.scans import BINS, D, made_scan, replaced

HOSTILE = "<img src=x onerror=alert(1)>.pt"
KERNELS = 20_000

SIZES = {HOSTILE: 3, "plain.pt": 4, "twin.pt": 4, "run/step_0.pt": 2, "run/step_100.pt": 2}
TASKS = {
    HOSTILE: "detection",
    "plain.pt": "detection",
    "twin.pt": "other",
    "run/step_0.pt": "other",
}


def lively_scan(folder):
    """Five models: one of a hostile name, two of the same distribution, two steps of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {(model, i): {"n_kernels": KERNELS} for model, n in SIZES.items() for i in range(n)}
    told[HOSTILE, 0] |= verdict("random-like", 1.01, "variance entropy 0.960 reaches 0.954")
    told["plain.pt", 2] |= verdict("collapsed", 0.3, "variance entropy 0.2 and sparsity 0.5")
    scan = made_scan(folder, SIZES, told=told)
    scan = with_column(scan, "task", TASKS.get)
    scan = replaced(scan, histogram=histograms(), sparse_histogram=None, **samples())
    return dataclasses.replace(scan, record=record(scan))


def verdict(label, ratio, reason):
    return {"verdict": label, "variance_entropy_ratio": ratio, "reason": reason}


def record(scan):
    refused = {"model": "cut.pt", "status": "refused", "reason": "expected <b> more bytes"}
    return scan.record | {"checkpoints": [*scan.record["checkpoints"], refused]}


def histograms():
    """Bell-shaped, apart for every model but the twins."""
    rng = np.random.default_rng(1)
    centers = np.linspace(-3, 3, BINS)
    shift = {"plain.pt": 0.5, "twin.pt": 0.5, "run/step_0.pt": 0.9, "run/step_100.pt": -0.4}
    rows = []
    for model, layers in SIZES.items():
        spread = np.linspace(0.9, 0.3, D)[:, None]
        bell = np.exp(-(((centers - shift.get(model, 0)) / spread) ** 2) / 2)
        shares = bell / bell.sum(axis=1, keepdims=True)
        rows += [rng.multinomial(KERNELS, shares) for _ in range(layers)]
    return np.stack(rows).astype(np.int64)


def samples():
    """300 kernels of every layer but the last, which was not reached."""
    rng = np.random.default_rng(2)
    layer = np.repeat(np.arange(sum(SIZES.values()) - 1), 300)
    sample = rng.standard_normal((len(layer), D)).astype(np.float32)
    return {"sample": sample, "sample_layer": layer}


def with_column(scan, name, value_of):
    values = pa.array([value_of(model) for model in scan.layer_table["model"].to_pylist()])
    return dataclasses.replace(scan, layer_table=scan.layer_table.append_column(name, values))


def save_densities(folder, by="task"):
    """What `jfilters density divergence` writes of two groups."""
    numbers = {"forward": 0.5, "backward": 0.75, "jeffreys": 1.25}
    errors = {f"{name}_error": 0.01 for name in numbers}
    pair = {"first": "detection", "second": "other", "distinguishable": True}
    groups = [{"label": label, "models": 2, "kernels": 100} for label in ("detection", "other")]
    text = json.dumps({"by": by, "groups": groups, "pairs": [pair | numbers | errors]})
    (folder / f"density-{by}.json").write_text(text, "utf-8")


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), f"<{kind}")
