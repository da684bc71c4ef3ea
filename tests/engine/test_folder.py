"""A scan's files appear whole or not at all, also on a disk that is full."""

import dataclasses
import errno
import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import scan
from jfilters.engine.internal import _folder, model_drift, totals, write_scan


@pytest.fixture
def found(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    save_file({"c.weight": weight}, folder / "a.safetensors", metadata={"format": "pt"})
    return scan(folder)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(found, tmp_path, monkeypatch, call):
    write_scan(found, out := tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            write_scan(found, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_record_is_written_last(found, tmp_path, monkeypatch):
    written = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(b.name), replace(a, b)))
    write_scan(found, tmp_path / "out")
    assert written[-1] == "scan.json"
    assert len(written) == 5


def test_of_too_many_models_no_matrix_is_written(found, tmp_path, monkeypatch):
    write_scan(found, out := tmp_path / "out")
    assert (out / "drift-model.csv").exists()
    monkeypatch.setattr(_folder, "MOST_MODELS", 0)
    write_scan(found, out)
    assert not (out / "drift-model.csv").exists()
    (reason,) = json.loads((out / "scan.json").read_text())["left_out"]
    assert reason == "drift-model.csv: 1 models, and a matrix is written for at most 0"


def test_counts_beyond_int32_stay_exact(found):
    many = 3_000_000_001
    histogram = found.cards.histogram * many
    cards = dataclasses.replace(found.cards, histogram=histogram, n_zero=found.cards.n_zero + many)
    scan = dataclasses.replace(found, cards=cards)
    assert totals(scan)["zero_kernels"] == many
    names, drift = model_drift(scan)
    assert (names, drift.tolist()) == (["a.safetensors"], [[0.0]])
    assert int(histogram.sum()) == 9 * 32 * many
