"""A scan's files appear whole or not at all, also on a disk that is full."""

import dataclasses
import errno
import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import scan
from jfilters.engine._folder import scan_of
from jfilters.engine.internal import measure_checkpoints
from jfilters.scans import _write
from jfilters.scans.internal import model_drift, write_scan


@pytest.fixture
def found(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    save_file({"c.weight": weight}, folder / "a.safetensors", metadata={"format": "pt"})
    return scan(folder)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(found, tmp_path, monkeypatch, call):
    found.save(out := tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            write_scan(found, out, replace=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_record_is_written_last(found, tmp_path, monkeypatch):
    written = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(b.name), replace(a, b)))
    found.save(tmp_path / "out")
    assert written[-1] == "scan.json"
    assert len(written) == 5


def test_of_too_many_models_no_matrix_is_written(found, tmp_path, monkeypatch):
    found.save(out := tmp_path / "out")
    assert (out / "drift-model.csv").exists()
    monkeypatch.setattr(_write, "MOST_MODELS", 0)
    found = scan(tmp_path / "in")
    write_scan(found, out, replace=True)
    assert not (out / "drift-model.csv").exists()
    (reason,) = json.loads((out / "scan.json").read_text())["left_out"]
    assert reason == "drift-model.csv: 1 models, and a matrix is written for at most 0"


def test_counts_beyond_int32_stay_exact(found, tmp_path):
    measured = measure_checkpoints(tmp_path / "in")
    many = 3_000_000_001
    statistics = measured.statistics
    histogram = statistics.histogram.astype(np.int64) * many
    n_zero = statistics.n_zero + many
    statistics = dataclasses.replace(statistics, histogram=histogram, n_zero=n_zero)
    scan = scan_of(dataclasses.replace(measured, statistics=statistics))
    assert scan.record["totals"]["zero_kernels"] == many
    assert (scan.model_names, model_drift(scan).tolist()) == (["a.safetensors"], [[0.0]])
    assert int(histogram.sum()) == 9 * 32 * many
