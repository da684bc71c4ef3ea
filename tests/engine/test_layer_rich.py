"""A file of more layers than are measured: the largest count, and nothing is left out without a word."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters as jf
from jfilters.engine import _opening

SIZES = (2, 9, 1, 8, 7, 3, 2, 6)
"""Output channels of each layer, of 4 inputs."""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    weights = {
        f"features.{i}.weight": rng.standard_normal((out, 4, 3, 3)).astype(np.float32)
        for i, out in enumerate(SIZES)
    }
    (tmp_path / "in").mkdir()
    save_file(weights, tmp_path / "in" / "net.safetensors")
    return tmp_path / "in"


def test_the_layers_with_the_most_kernels_are_measured_in_their_order(folder, monkeypatch):
    monkeypatch.setattr(_opening, "MOST_LAYERS", 4)
    scan = jf.scan(folder, progress=False)
    assert scan.layer_table["n_kernels"].to_pylist() == [36, 32, 28, 24]
    assert scan.histogram.sum(axis=(1, 2)).tolist() == [9 * n for n in (36, 32, 28, 24)]
    entry = scan.record["checkpoints"][0]
    assert entry["status"] == "partial"
    assert "4 of its 8 3x3 layers, those with the fewest kernels (32 of 152)" in entry["reason"]
    assert entry["skipped"]["3x3 convolution beyond the largest 4"] == 4
    assert "1 partial" in repr(scan)
    assert scan.partial == {"net.safetensors": entry["reason"]}


def test_what_is_measured_is_what_a_scan_without_a_limit_says(folder, monkeypatch):
    whole = jf.scan(folder, progress=False)
    monkeypatch.setattr(_opening, "MOST_LAYERS", 4)
    part = jf.scan(folder, progress=False, basis=whole.basis)
    rows = [i for i, n in enumerate(SIZES) if n >= 6]
    assert np.array_equal(part.histogram, whole.histogram[rows])
    names = ("layer", "n_kernels", "variance_entropy", "l2", "verdict")
    for name in names:
        assert part.layer_table[name].to_pylist() == whole.layer_table[name].take(rows).to_pylist()


def test_a_file_as_large_as_the_limit_is_whole(folder, monkeypatch):
    monkeypatch.setattr(_opening, "MOST_LAYERS", len(SIZES))
    monkeypatch.setattr(_opening, "MOST_LAYERS_OF_ALL", len(SIZES))
    assert jf.scan(folder, progress=False).record["checkpoints"][0]["status"] == "ok"


def test_a_strict_scan_refuses_what_it_would_read_in_part(folder, monkeypatch):
    monkeypatch.setattr(_opening, "MOST_LAYERS_OF_ALL", 4)
    with pytest.raises(jf.CheckpointError, match="without --strict the largest layers count"):
        jf.scan(folder, jf.Options(strict=True), progress=False)
