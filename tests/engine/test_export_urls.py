"""Scans of URLs are exported too, from checkpoints that are still those that were scanned."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from jfilters import CheckpointError
from jfilters.converters import location
from jfilters.converters.internal import identity
from jfilters.engine import export_filterdb, scan

upath = pytest.importorskip("upath")

MODELS = ["a.safetensors", "b.safetensors"]


def network(out=8, name="a.weight", seed=0):
    kernels = np.random.default_rng(seed).standard_normal((out, 4, 3, 3)).astype(np.float32)
    return save({name: kernels}, metadata={"format": "pt"})


@pytest.fixture
def store():
    """A folder in fsspec's memory with two networks."""
    root = upath.UPath("memory://zoo")
    for model in MODELS:
        root.fs.pipe_file(f"/zoo/{model}", network())
    yield root
    root.fs.rm("/zoo", recursive=True)


@pytest.fixture(params=[True, False], ids=["identity", "layers"])
def folder(store, tmp_path, request):
    """The scan of the store, with the identities of its checkpoints or without."""
    scan("memory://zoo").save(tmp_path / "out")
    path = tmp_path / "out/scan.json"
    record = json.loads(path.read_text())
    for entry in record["checkpoints"]:
        assert entry["sha256"] is None
        entry.pop("identity", None)
        if request.param:
            entry["identity"] = identity(location(entry["path"]))
    path.write_text(json.dumps(record))
    return tmp_path


def refusal(folder):
    with pytest.raises(CheckpointError) as caught:
        export_filterdb(folder / "out", folder / "new.h5")
    return str(caught.value)


def test_kernels_are_read_again_from_their_urls(folder):
    assert export_filterdb(folder / "out", folder / "all.h5") == 2 * 8 * 4
    again = scan(folder / "all.h5")
    assert int(again.record["totals"]["kernels"]) == 2 * 8 * 4


def test_a_checkpoint_that_has_gone(folder, store):
    store.fs.rm(f"/zoo/{MODELS[1]}")
    assert refusal(folder).startswith("memory://zoo/b.safetensors: gone since the scan; scan the")


@pytest.mark.parametrize("changed", [{"out": 16}, {"name": "b.weight"}])
def test_a_checkpoint_with_other_layers(folder, store, changed):
    store.fs.pipe_file(f"/zoo/{MODELS[0]}", network(**changed))
    assert refusal(folder).startswith("memory://zoo/a.safetensors: its ")


@pytest.mark.parametrize("folder", [True], indirect=True)
def test_a_checkpoint_with_other_weights(folder, store):
    store.fs.pipe_file(f"/zoo/{MODELS[0]}", network(seed=1))
    assert "a.safetensors: its identity is no longer the one in scan.json; scan" in refusal(folder)
