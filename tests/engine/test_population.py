"""A Filter DB is a population: every network in it is a model of its own in all tables."""

import csv
import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from jfilters.converters._hdf5 import FilterPopulation, write_filterdb
from jfilters.engine import export_filterdb, inspect, scan
from jfilters.engine._tables import LAYERS, MODELS
from jfilters.engine._weight_stores import WeightCache
from jfilters.scans.internal import model_drift

NAMES = ["a.safetensors", "deep/b.safetensors"]


def save_network(path, seed):
    """Plain and depthwise 3x3 layers, and a 1x1 layer between them."""
    rng = np.random.default_rng(seed)
    shapes = {"a": (8, 3, 3, 3), "b": (4, 8, 1, 1), "c": (8, 1, 3, 3), "d": (16, 8, 3, 3)}
    weights = {
        f"{name}.weight": (rng.standard_normal(shape) ** (1 + 2 * seed)).astype(np.float32)
        for name, shape in shapes.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path, metadata={"format": "pt"})


def tables(out):
    names = ("layers.parquet", "models.parquet")
    return [pq.read_table(out / name).to_pylist() for name in names]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A scan of two networks, and that of what was exported of it."""
    root = tmp_path_factory.mktemp("population")
    for seed, name in enumerate(NAMES):
        save_network(root / "in" / name, seed)
    first = scan(root / "in")
    first.save(root / "first")
    export_filterdb(root / "first", root / "all.h5")
    again = scan(root / "all.h5")
    again.save(root / "again")
    return root, first, again


def test_a_scan_of_the_export_has_the_same_tables(scanned):
    root, *_ = scanned
    # How the weights are stored is no longer the same: in one file, as plain OIHW.
    stored = {"model", "format", "axes", "dtype", "bytes", "family", "batchnorm"}
    first, again = (tables(root / name) for name in ("first", "again"))
    for rows, found, schema in zip(first, again, (LAYERS, MODELS), strict=True):
        assert [row["model"] for row in found] == [f"all.h5/{row['model']}" for row in rows]
        for row, same in zip(rows, found, strict=True):
            assert {key: same[key] for key in schema.names if key not in stored} == {
                key: row[key] for key in schema.names if key not in stored
            }


def test_a_scan_of_the_export_has_the_same_drift(scanned):
    root, first, again = scanned
    drift, same = model_drift(first), model_drift(again)
    assert first.model_names == NAMES
    assert again.model_names == [f"all.h5/{name}" for name in NAMES]
    assert drift.max() > 0.1
    np.testing.assert_array_equal(drift, same)
    np.testing.assert_array_equal(first.histogram, again.histogram)
    with open(root / "again/drift-model.csv", newline="") as file:
        assert next(csv.reader(file)) == ["", *again.model_names]


def test_the_file_is_one_checkpoint_in_the_record(scanned):
    record = json.loads((scanned[0] / "again/scan.json").read_text())
    (entry,) = record["checkpoints"]
    assert (entry["model"], entry["format"], entry["status"]) == ("all.h5", "filterdb", "ok")
    assert record["totals"]["checkpoints"] == 1
    assert record["totals"]["layers"] == 6
    assert [row["bytes"] for row in tables(scanned[0] / "again")[1]] == [None, None]


def test_a_scan_of_the_export_is_exported_alike(scanned):
    root, *_ = scanned
    export_filterdb(root / "again", root / "twice.h5")
    with h5py.File(root / "all.h5") as one, h5py.File(root / "twice.h5") as two:
        np.testing.assert_array_equal(one["filters"], two["filters"])
        assert one["meta/table"]["model_id"].tolist() == two["meta/table"]["model_id"].tolist()
        models = [f"all.h5/{name}".encode() for name in NAMES for _ in range(3)]
        assert two["meta/table"]["model"].tolist() == models


def test_only_slices_are_read_each_once_a_pass(scanned, monkeypatch):
    root, first, _ = scanned
    spans, original = [], FilterPopulation.slice

    def counting(self, start, stop):
        spans.append((start, stop))
        return original(self, start, stop)

    monkeypatch.setattr(FilterPopulation, "slice", counting)
    monkeypatch.setattr(WeightCache, "put", lambda *_: None)
    scan(root / "all.h5")
    stops = np.cumsum(first.layer_table["n_kernels"]).tolist()
    assert spans == 2 * list(zip([0, *stops[:-1]], stops, strict=True))


def test_a_cached_population_is_the_same(scanned, tmp_path):
    root, _, again = scanned
    for _ in range(2):
        found = scan(root / "all.h5", cache=tmp_path / "kept")
        assert found.record["checkpoints"] == again.record["checkpoints"]
    found.save(tmp_path / "out")
    assert tables(tmp_path / "out") == tables(root / "again")


def test_inspect_names_the_networks(scanned):
    found = inspect(scanned[0] / "all.h5").layers
    assert found["model"].to_pylist() == [f"all.h5/{name}" for name in NAMES for _ in range(3)]
    assert found["layer"].to_pylist() == 2 * ["a.weight", "c.weight", "d.weight"]


def test_metadata_columns_follow_those_of_the_contract(tmp_path):
    kernels = np.random.default_rng(0).standard_normal((3, 16, 3, 3)).astype(np.float32)
    meta = {
        "model": ["x", "x", "y"],
        "Task": ["seg", None, "cls"],
        "depth": [7, 7, 9],
        "top1": [0.5, None, 0.25],
        "empty": [None, None, None],
    }
    save_network(tmp_path / "in/a.safetensors", 0)
    write_filterdb(tmp_path / "in/db.h5", kernels, pa.table(meta))
    # Another file tells of the same column in words.
    meta = {"Name": ["z"], "top1": ["unknown"], "step": [3]}
    write_filterdb(tmp_path / "in/other.h5", kernels[:1], pa.table(meta))
    scan(tmp_path / "in").save(tmp_path / "out")
    found = pq.read_table(tmp_path / "out/layers.parquet")
    assert found.column_names == [
        *LAYERS.names,
        *("Task", "meta.depth", "top1", "empty", "meta.step"),
    ]
    assert found["Task"].to_pylist() == 3 * [None] + ["seg", None, "cls", None]
    assert found["meta.depth"].to_pylist() == 3 * [None] + [7, 7, 9, None]
    assert found["depth"].to_pylist()[3:] == [0, 1, 0, 0]
    assert found["top1"].to_pylist() == 3 * [None] + ["0.5", None, "0.25", "unknown"]
    assert found["meta.step"].type == pa.int64()
    assert found["empty"].type == pa.string()
    models = pq.read_table(tmp_path / "out/models.parquet")["model"].to_pylist()
    assert models == ["a.safetensors", "db.h5/x", "db.h5/y", "other.h5/z"]
