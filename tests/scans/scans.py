"""Scans for tests: made up in memory within a blink, or a real one of a few small networks."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from jfilters.engine import Options, scan_into
from jfilters.lineage.internal import Sketcher
from jfilters.scans import Scan
from jfilters.scans._pool import VERDICT_COLUMNS
from jfilters.scans.internal import sketch_arrays, with_families, write_scan
from jfilters.scans.schema import LAYERS, MODELS
from jfilters.statistics import Basis, Moments, fixed_edges
from jfilters.statistics.internal import basis_arrays

D, BINS = 9, 70


def layer_row(model, depth, depths, /, **told):
    row = {
        "model": model,
        "layer": f"conv{depth}.weight",
        "format": "torch",
        "axes": "OIHW",
        "dtype": "float32",
        "spatial": "3x3",
        "out_channels": 10,
        "in_channels": 4,
        "groups": 1,
        "depthwise": False,
        "depth": depth,
        "relative_depth": depth / max(depths - 1, 1),
        "depth_source": "graph",
        "n_kernels": 40,
        "n_zero": 0,
        "n_sparse": depth,
        "n_nonfinite": 0,
        "max_abs": 1.0 + depth,
        "sparsity": depth / 40,
        "variance_entropy": 0.7 + depth / 100,
        "orthogonality": 0.8 + depth / 100,
        "l1": 10.0,
        "l2": 3.0,
        "verdict": "healthy",
        "reason": "",
    }
    return {name: (row | told).get(name) for name in LAYERS.names}


def model_row(rows):
    last = rows[-1]
    names = ("n_kernels", "n_zero", "n_sparse", "n_nonfinite", "l1")
    sums = {name: sum(row[name] for row in rows) for name in names}
    row = sums | {
        "model": last["model"],
        "step": last["step"],
        "format": last["format"],
        "bytes": 1000,
        "n_layers": len(rows),
        "max_abs": max(row["max_abs"] for row in rows),
        "sparsity": sums["n_sparse"] / sums["n_kernels"],
        "variance_entropy": median(rows, "variance_entropy"),
        "orthogonality": median(rows, "orthogonality"),
        "l2": float(np.sqrt(sum(row["l2"] ** 2 for row in rows))),
        "n_degenerate": 0,
    }
    for name, label in VERDICT_COLUMNS.items():
        row[name] = sum(layer["verdict"] == label for layer in rows)
    return {name: row.get(name) for name in MODELS.names}


def median(rows, name):
    return float(np.median([row[name] for row in rows if row[name] is not None]))


def some_moments(rng, layers):
    half = rng.standard_normal((layers, D, D))
    return Moments(
        count=np.full(layers, 40.0),
        mean=rng.standard_normal((layers, D)),
        scatter=half + np.swapaxes(half, 1, 2),
    )


def made_scan(folder, sizes, *, seed=0, basis_seed=0, told=None):
    """A scan of models with so many layers each, {"a.pt": 3}; `told` changes rows: {("a.pt", 0): {...}}."""
    rng = np.random.default_rng(seed)
    rows = [
        layer_row(model, depth, n, **(told or {}).get((model, depth), {}))
        for model, n in sizes.items()
        for depth in range(n)
    ]
    rotation = np.linalg.qr(np.random.default_rng(basis_seed).standard_normal((D, D)))[0]
    ratio = np.arange(D, 0, -1) / np.arange(1, D + 1).sum()
    shares = rng.dirichlet(np.ones(BINS), (len(rows), D))
    histogram = rng.multinomial(40, shares).astype(np.int64)
    models = [model_row([row for row in rows if row["model"] == model]) for model in sizes]
    scan = Scan(
        folder=folder,
        record={
            "versions": {"jfilters": "0.1.0"},
            "config": {"checkpoints": "nets", "spatial": [3, 3], "sparse_eps": 0.01},
            "totals": {"layers": len(rows), "kernels": 40 * len(rows)},
            "checkpoints": [
                {"model": model, "path": f"nets/{model}", "bytes": 1000, "status": "ok"}
                | {"sha256": f"{model} {seed}"}
                for model in sizes
            ],
        },
        layer_table=pa.Table.from_pylist(rows, schema=LAYERS),
        model_table=pa.Table.from_pylist(models, schema=MODELS),
        arrays={
            **basis_arrays(Basis(mean=np.zeros(D), components=rotation, variance_ratio=ratio)),
            "edges": fixed_edges(D, BINS),
            "histogram": histogram,
            "sparse_histogram": histogram // 4,
            **moment_arrays(
                {name: some_moments(rng, len(rows)) for name in ("normalized", "raw", "clean")}
            ),
            "sparse_at": rng.integers(0, 9, (len(rows), 3)),
            "sparse_eps": np.array([0.001, 0.01, 0.05]),
            "sample": rng.standard_normal((5 * len(rows), D)).astype(np.float32),
            "sample.layer": np.repeat(np.arange(len(rows)), 5),
            **sketch_arrays(some_sketches(rng, list(sizes.values()))),
        },
    )
    return with_families(scan)


def some_sketches(rng, sizes):
    """The sketches of networks with so many layers, each of other weights."""
    sketcher = Sketcher(sizes)
    weights = rng.standard_normal((sum(sizes), 10, 4, 3, 3)).astype(np.float32)
    assert len(list(sketcher.watch(weights))) == len(weights)
    return sketcher.sketches()


def moment_arrays(moments):
    """Stacked moments by name, as arrays under the names of the schema."""
    return {
        f"{name}.{part}": np.asarray(getattr(values, part))
        for name, values in moments.items()
        for part in ("count", "mean", "scatter")
    }


def replaced(scan, **arrays):
    """The scan with some of its arrays replaced, or left out where None is given."""
    arrays = {name.replace("sample_layer", "sample.layer"): x for name, x in arrays.items()}
    merged = {**scan.arrays, **arrays}
    kept = {name: array for name, array in merged.items() if array is not None}
    return dataclasses.replace(scan, arrays=kept)


def real_scan(folder, networks=("a", "b")):
    """Scan some small random networks into a folder, two layers each."""
    (folder / "in").mkdir(parents=True)
    for seed, name in enumerate(networks):
        rng = np.random.default_rng(seed)
        weights = {
            "conv1.weight": rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
            "conv2.weight": rng.standard_normal((16, 8, 3, 3)).astype(np.float32),
        }
        save_file(weights, folder / f"in/{name}.safetensors", metadata={"format": "pt"})
    scan_into(folder / "out", str(folder / "in"), Options())
    return folder / "out"


def rewrite_record(folder, change):
    """Change the scan.json of a folder by a function of its record."""
    path = folder / "scan.json"
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), "utf-8")


def same(a, b, *, moments=("normalized", "raw", "clean"), sample=True):
    """Whether two scans hold exactly the same, but for where they lie."""
    arrays = ["edges", "histogram", "sparse_histogram", "sparse_at", "sparse_eps"]
    arrays += ["sample", "sample_layer"] if sample else []
    pairs = [(getattr(a, name), getattr(b, name)) for name in arrays]
    pairs += [
        (getattr(a.basis, x), getattr(b.basis, x)) for x in ("mean", "components", "variance_ratio")
    ]
    pairs += [
        (getattr(a.moments[name], x), getattr(b.moments[name], x))
        for name in moments
        for x in ("count", "mean", "scatter")
    ]
    return (
        a.layer_table.equals(b.layer_table)
        and a.model_table.equals(b.model_table)
        and a.record == b.record
        and all((x is None and y is None) or np.array_equal(x, y) for x, y in pairs)
        and same_sketches(a.sketches, b.sketches)
    )


def same_sketches(a, b):
    """Whether two scans have the same sketches, or both have none."""
    if a is None or b is None:
        return a is b
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name))
        for field in dataclasses.fields(a)
    )


def save_folder(scan):
    """Write a made-up scan where it says that it lies."""
    write_scan(scan, scan.folder)
