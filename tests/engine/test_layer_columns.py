"""What the table of layers says of composed weights, and of groups that a file does not tell."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from jfilters.converters import _checkpoint, open_checkpoint
from jfilters.engine import Options, export_filterdb, scan_into
from jfilters.engine._opening import checkpoint_at

LAYERS = {"open.weight": (8, 1, 3, 3), "dense.weight": (8, 4, 3, 3)}


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A scan of a file that tells no groups, whose weights are masked and read from a moving average."""
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(x).astype(np.float32) for name, x in LAYERS.items()}
    (tmp_path / "in").mkdir()
    save_file(weights, tmp_path / "in/net.safetensors", metadata={"format": "pt"})
    original = _checkpoint.select

    def without_groups(*arguments):
        selected, skipped = original(*arguments)
        told = {"groups": None, "applied": "masked", "network": "ema", "note": "no groups"}
        layers = [dataclasses.replace(x.layer, **told) for x in selected]
        pairs = zip(selected, layers, strict=True)
        return tuple(dataclasses.replace(x, layer=layer) for x, layer in pairs), skipped

    monkeypatch.setattr(_checkpoint, "select", without_groups)
    scan_into(tmp_path / "out", tmp_path / "in")
    return tmp_path / "out"


def test_what_is_not_told_is_null(out):
    rows = pq.read_table(out / "layers.parquet").to_pylist()
    assert [row["layer"] for row in rows] == list(LAYERS)
    assert [row["groups"] for row in rows] == [None, None]
    assert [row["in_channels"] for row in rows] == [None, None]
    assert [row["depthwise"] for row in rows] == [None, False]
    for row in rows:
        assert (row["applied"], row["network"], row["note"]) == ("masked", "ema", "no groups")


def test_they_come_back_from_the_cache(out):
    before = (out / "layers.parquet").read_bytes()
    scan_into(out, out.parent / "in")
    assert (out / "layers.parquet").read_bytes() == before


def test_they_are_exported(out, tmp_path):
    assert export_filterdb(out, tmp_path / "db.h5") == 40
    layers = open_checkpoint(tmp_path / "db.h5").layers
    assert [layer.shape for layer in layers] == list(LAYERS.values())
    assert [layer.layer.groups for layer in layers] == [None, None]


def test_the_options_of_a_scan_say_how_a_checkpoint_is_opened(tmp_path):
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    save_file({"a.weight": weight}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    options = Options.of_record({"spatial": [3, 3], "standardize": True, "network": None})
    (layer,) = checkpoint_at(tmp_path / "a.safetensors", options).layers
    assert layer.layer.applied == "standardized"
    assert Options.of_record({"spatial": [3, 3]}) == Options()
