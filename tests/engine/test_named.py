"""A scan of networks by their names: in memory, at paths, and both beside each other."""

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from safetensors.numpy import save_file

import jfilters as jf
from jfilters.engine import Options, _local, scan_into
from jfilters.engine._checkpoint_statistics import load
from jfilters.engine._named import plan_named
from jfilters.engine._task import Context, measured, run_task
from jfilters.scans import MetadataTable

from ..training.networks import NETWORKS, arrays, equinox, linen, weights

torch = pytest.importorskip("torch")

OF_FILES = {"format", "bytes"}
"""Columns that tell of the file alone."""


def rows(table, without=OF_FILES):
    return table.drop_columns([name for name in without if name in table.column_names]).to_pylist()


def scan(networks, **arguments):
    return jf.scan(networks, progress=False, **arguments)


@pytest.fixture
def files(tmp_path):
    """A checkpoint of each of two frameworks, by the names of the networks in memory."""
    (tmp_path / "linen").write_bytes(serialization.to_bytes(linen()))
    save_file({f"{i}.weight": weight for i, weight in enumerate(weights(1))}, tmp_path / "state")
    return {name: tmp_path / name for name in ("linen", "state")}


def in_memory():
    tensors = {f"{i}.weight": torch.tensor(weight) for i, weight in enumerate(weights(1))}
    return {"linen": linen(), "state": tensors}


def test_tables_are_those_of_a_scan_of_the_files(files):
    found, expected = scan(in_memory()), scan(files)
    for name in ("layer_table", "model_table"):
        a, b = getattr(found, name), getattr(expected, name)
        columns = OF_FILES | {"depth_source"}  # a dict of tensors keeps its order
        assert rows(a, columns) == rows(b, columns)
    np.testing.assert_array_equal(found.histogram, expected.histogram)
    np.testing.assert_array_equal(found.edges, expected.edges)


def test_kernels_of_a_file_are_the_file(files):
    found = scan({name: jf.load(path) for name, path in files.items()})
    expected = scan(files)
    columns = OF_FILES | {"updates", "batchnorm"}
    assert rows(found.layer_table) == rows(expected.layer_table)
    assert rows(found.model_table, columns) == rows(expected.model_table, columns)


def test_networks_of_all_frameworks_and_paths_mix(files):
    networks = {name: make() for name, make in NETWORKS.items()} | files
    found = scan(networks)
    assert found.model_names == list(networks)
    statistics = [row["variance_entropy"] for row in found.layer_table.to_pylist()]
    np.testing.assert_allclose(statistics[:4], statistics[4:8], rtol=1e-6)


def test_is_the_same_each_time():
    a, b = scan(in_memory()), scan(in_memory())
    assert a.record == b.record
    assert a.layer_table.equals(b.layer_table)


def test_a_folder_of_several_checkpoints_is_a_model_each(files):
    folder = next(iter(files.values())).parent
    found = scan({"run": folder, "base": arrays()})
    assert found.model_names == ["run/linen", "run/state", "base"]
    assert scan({"one": files["linen"]}).model_names == ["one"]


def test_what_cannot_be_read_fails_with_a_reason(tmp_path):
    deleted = {"conv": {"kernel": jnp.ones((3, 3, 4, 4))}}
    jax.tree.map(lambda x: x.delete(), deleted)
    networks = {
        "net": arrays(),
        "none": None,
        "number": 3,
        "missing": str(tmp_path / "missing.pt"),
        "deleted": deleted,
        "dense": {"head": {"kernel": np.ones((4, 4), np.float32)}},
    }
    found = scan(networks)
    states = {entry["model"]: entry["status"] for entry in found.record["checkpoints"]}
    failed = dict.fromkeys(("none", "number", "missing", "deleted"), "failed")
    assert states == {"net": "ok", **failed, "dense": "empty"}
    reasons = {entry["model"]: entry["reason"] for entry in found.record["checkpoints"]}
    assert reasons["number"].startswith("number: expected parameters, a module, Kernels or a path")
    assert "no such file" in reasons["missing"]
    assert "deleted" in reasons["deleted"]
    assert found.model_names == ["net"]


def test_metadata_is_joined_by_name():
    columns = {"task": ["segment", "classify"]}
    found = scan(in_memory(), metadata=MetadataTable(Path("labels"), ("state", "linen"), columns))
    pairs = zip(*(found.layer_table[name].to_pylist() for name in ("model", "task")), strict=True)
    assert dict(pairs) == {"linen": "classify", "state": "segment"}


class TestOut:
    def test_a_written_scan_names_the_networks(self, tmp_path):
        found = scan_into(tmp_path / "out", in_memory(), progress=False)
        opened = jf.open_scan(tmp_path / "out")
        assert opened.model_names == ["linen", "state"]
        assert opened.layer_table.equals(found.layer_table)

    def test_equal_content_is_not_read_again_under_whatever_name(self, tmp_path, monkeypatch):
        first = scan_into(tmp_path / "out", in_memory(), progress=False)
        reads = []
        opened = _local.opened
        monkeypatch.setattr(
            _local, "opened", lambda entry, o: reads.append(entry.model) or opened(entry, o)
        )
        renamed = {f"new {name}": network for name, network in in_memory().items()}
        again = scan_into(tmp_path / "out", renamed, progress=False)
        assert not reads
        assert again.model_names == ["new linen", "new state"]
        assert rows(again.layer_table, {"model"}) == rows(first.layer_table, {"model"})

    def test_changed_content_is_read(self, tmp_path):
        scan_into(tmp_path / "out", {"net": arrays()}, progress=False)
        changed = scan_into(tmp_path / "out", {"net": arrays(1)}, progress=False)
        expected = scan({"net": arrays(1)})
        assert changed.layer_table.equals(expected.layer_table)


class TestErrors:
    def test_an_empty_dict(self):
        with pytest.raises(ValueError, match="networks by their names, got an empty dict"):
            scan({})

    @pytest.mark.parametrize("name", [1, "", None, ("a",)])
    def test_a_name_that_is_no_text(self, name):
        with pytest.raises(ValueError, match="names of networks as text, got"):
            scan({name: arrays()})

    def test_two_models_of_one_name(self, files):
        folder = next(iter(files.values())).parent
        with pytest.raises(ValueError, match="'x/linen' more than once"):
            scan({"x": folder, "x/linen": arrays()})

    def test_a_module_without_a_name(self):
        with pytest.raises(ValueError, match="a dict of networks by their names, got Equinox"):
            scan(equinox())

    def test_under_jit(self):
        with pytest.raises(ValueError, match="call it outside") as raised:
            jax.jit(lambda params: scan({"net": params}))(arrays())
        assert "racer" not in str(raised.value)

    def test_measure_under_jit(self):
        with pytest.raises(ValueError, match="call it outside") as raised:
            jax.jit(jf.measure)(jf.from_params(arrays()))
        assert "racer" not in str(raised.value)


@pytest.mark.parametrize("name", NETWORKS)
def test_measure_takes_what_holds_kernels(name):
    found = jf.measure(NETWORKS[name]()).statistics
    assert found.n_kernels.tolist() == [8, 64, 64, 128]


def test_a_network_goes_to_a_worker_of_a_cluster():
    (entry,) = plan_named({"net": arrays()})[1]
    copy = pickle.loads(pickle.dumps(entry))
    response = run_task(Context(Options(), Path.cwd()), measured, copy, b"", None)
    found = load(response.statistics, entry)
    assert found.layers.n_finite.tolist() == [8, 64, 64, 128]
    assert response.sha256 == entry.memory.sha256()
