"""The kernels and the table of a scan as a Filter DB, and what cannot be exported."""

import json
import pickle
import shutil
import sys
import warnings

import h5py
import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.converters._hdf5._filterdb import population
from jfilters.engine import export_filterdb, scan
from jfilters.engine._digest import digest
from jfilters.errors import MissingExtraError
from jfilters.scans import read_metadata

MODELS = ["a.safetensors", "deep/b.safetensors", "deep/c.safetensors"]


def save_network(path, seed):
    rng = np.random.default_rng(seed)

    def conv(out, inner, size=3):
        weights = rng.standard_normal((out, inner, size, size)) ** (1 + seed)
        return weights.astype(np.float32)

    weights = {"a.weight": conv(8, 3), "b.weight": conv(4, 8, 1), "c.weight": conv(16, 4)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights | {"d.weight": conv(2, 16, 5)}, path, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A folder of three networks with 3x3, 1x1 and 5x5 layers, a broken file, and its scan."""
    root = tmp_path_factory.mktemp("scanned")
    for seed, model in enumerate(MODELS):
        save_network(root / "in" / model, seed)
    (root / "in/broken.safetensors").write_bytes(b"broken")
    found = scan(root / "in")
    found.save(root / "out")
    return root, found


@pytest.fixture(scope="module")
def exported(scanned):
    root, _ = scanned
    assert export_filterdb(root / "out", root / "all.h5") == 3 * (8 * 3 + 16 * 4)
    return root / "all.h5"


@pytest.fixture
def folder(scanned, tmp_path):
    """A copy of the scan, to be spoiled, whose checkpoints are copies too."""
    shutil.copytree(scanned[0], tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "out/scan.json").read_text()
    (tmp_path / "out/scan.json").write_text(text.replace(str(scanned[0]), str(tmp_path)))
    return tmp_path


def spoil(folder, change):
    """Change what scan.json of a scan says."""
    record = json.loads((folder / "out/scan.json").read_text())
    change(record)
    (folder / "out/scan.json").write_text(json.dumps(record))


def refusal(folder):
    with pytest.raises(CheckpointError) as caught:
        export_filterdb(folder / "out", folder / "new.h5")
    assert not list(folder.glob("new.h5*"))
    return str(caught.value)


def test_the_table_has_the_names_of_the_filter_db(scanned, exported):
    meta = population(exported).meta
    assert meta["model_id"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert meta["model"].to_pylist() == [model for model in MODELS for _ in range(2)]
    assert meta["layer"].to_pylist() == ["a.weight", "c.weight"] * 3
    assert meta["conv_depth"].to_pylist() == [0, 2] * 3
    np.testing.assert_allclose(meta["conv_depth_norm"], [0, 2 / 3] * 3)
    assert meta["(3, 3) filters"].to_pylist() == [88] * 6
    assert meta["filter_ids"].to_pylist()[:3] == ["0:23", "24:87", "88:111"]
    layers = pq.read_table(scanned[0] / "out/layers.parquet")
    for name in ("dtype", "axes", "groups", "max_abs", "verdict", "variance_entropy"):
        assert meta[name].to_pylist() == layers[name].to_pylist()


def test_kernels_come_in_the_order_of_the_table(scanned, exported):
    kernels = population(exported)
    first = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(kernels.slice(0, 24), first.reshape(-1, 3, 3))


def test_a_checkpoint_that_has_gone(folder):
    (folder / "in" / MODELS[1]).unlink()
    assert f"{MODELS[1]}: gone since the scan; a relative path counts from" in refusal(folder)


def test_a_checkpoint_that_has_changed(folder):
    with open(folder / "in" / MODELS[2], "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    assert f"{MODELS[2]}: its sha256 is no longer the one in scan.json; scan" in refusal(folder)


def test_layers_other_than_those_of_the_table(folder):
    # Content that fits the digest: what another version of a reader might make of a checkpoint.
    path = folder / "in" / MODELS[0]
    save_file({"other.weight": np.ones((4, 2, 3, 3), np.float32)}, path, metadata={"format": "pt"})
    spoil(folder, lambda record: record["checkpoints"][0].update(sha256=digest(path)))
    assert f"{MODELS[0]}: its layers are no longer those in layers.parquet" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("config"), "expected the folder of a scan"),
        (lambda record: record.update(checkpoints=5), "expected the folder of a scan"),
        (
            lambda record: record["checkpoints"][0].update(model="x"),
            "expected the folder of a scan",
        ),
        (lambda record: record["checkpoints"].pop(0), "name different checkpoints; scan"),
        (lambda record: record["config"].update(spatial=[5, 5]), "holds 3x3 kernels, not 5x5"),
    ],
)
def test_a_scan_json_that_does_not_fit(folder, change, message):
    spoil(folder, change)
    assert message in refusal(folder)


@pytest.mark.parametrize("name", ["scan.json", "layers.parquet"])
def test_what_is_no_scan(folder, name):
    (folder / "out" / name).unlink()
    message = "expected the folder of a scan, with scan.json and layers.parquet; `jfilters scan`"
    assert message in refusal(folder)
    (folder / "out" / name).write_text("[")
    assert message in refusal(folder)


def test_a_scan_without_kernels(tmp_path):
    (tmp_path / "in").mkdir()
    save_file({"head.weight": np.ones((4, 8), np.float32)}, tmp_path / "in/dense.safetensors")
    scan(tmp_path / "in").save(tmp_path / "out")
    assert "a scan without kernels: nothing to export" in refusal(tmp_path)


def test_without_h5py_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[keras\]'"):
        export_filterdb(folder / "out", folder / "new.h5")


class TestNotebook:
    """What the notebooks of the papers do with a Filter DB, in our own words."""

    @pytest.fixture(scope="class")
    @classmethod
    def path(cls, tmp_path_factory):
        root = tmp_path_factory.mktemp("labeled")
        for seed, model in enumerate(MODELS):
            save_network(root / "in" / model, seed)
        labels = ("x,true,seg", "y,false,cls", "x,false,cls")
        lines = [f"{model},{label}" for model, label in zip(MODELS, labels, strict=True)]
        text = "\n".join(["model,Training-Dataset,Robust,Task", *lines])
        (root / "models.csv").write_text(text)
        scan(root / "in", metadata=read_metadata(root / "models.csv")).save(root / "out")
        export_filterdb(root / "out", root / "all.h5")
        return root / "all.h5"

    def frame(self, path):
        """The table as `pandas.read_hdf` gives it: its columns, indexed by the levels that it names."""
        with h5py.File(path) as file:
            records = file["meta/table"][...]
            levels = pickle.loads(file["meta"].attrs["levels"])
            assert file["meta"].attrs["table_type"] == b"appendable_multiframe"
            for name in levels:
                assert pickle.loads(file["meta/table"].attrs[f"{name}_kind"]) == [name]
        frame = pandas.DataFrame({name: records[name] for name in records.dtype.names[1:]})
        for name in frame.select_dtypes(object):
            frame[name] = [value.decode() for value in frame[name]]
        return frame.set_index(levels)

    def test_the_index_has_the_levels_of_the_published_table(self, path):
        frame = self.frame(path)
        assert frame.index.names == ["model_id", "conv_depth", "conv_depth_norm"]
        assert frame.index.get_level_values("conv_depth").tolist() == [0, 2] * 3
        assert len(frame.loc[1]) == 2
        assert frame.reset_index().columns[:3].tolist() == frame.index.names

    def test_kernels_are_gathered_by_labels_and_by_levels(self, path):
        self.check(self.frame(path), path)

    def test_pandas_reads_it(self, path):
        pytest.importorskip("tables")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names that are no Python identifiers
            self.check(pandas.read_hdf(path, "meta"), path)

    def check(self, frame, path):
        bounds = frame["filter_ids"].str.split(":")
        frame["filter_ids"] = [np.arange(int(first), int(last) + 1) for first, last in bounds]
        groups = frame.groupby(["Training-Dataset", "Robust"]).filter_ids.apply(np.hstack)
        assert groups.index.tolist() == [("x", False), ("x", True), ("y", False)]
        with h5py.File(path) as file:
            kernels = file["filters"][...].reshape(-1, 9)
        columns = frame.groupby("Task").filter_ids.apply(lambda ids: kernels[np.hstack(ids)].T)
        assert {task: x.shape for task, x in columns.items()} == {"cls": (9, 176), "seg": (9, 88)}
        first = frame.groupby(level="conv_depth_norm").filter_ids.apply(np.hstack)
        assert first.iloc[0].tolist() == [*range(24), *range(88, 112), *range(176, 200)]
        of_models = frame.groupby("model_id").filter_ids.apply(np.hstack)
        assert [len(ids) for ids in of_models] == [88] * 3
