"""Checkpoints that are read in part: what was read counts, and the scan says what was not."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.engine import Options, inspect, scan, scan_into
from jfilters.engine import _cache as cache
from jfilters.engine._checkpoint_statistics import CheckpointStatistics, dump, load
from jfilters.engine.internal import measure_checkpoints
from jfilters.report import Summary, inspection_text, summary_text

from ..report.test_summary import shown
from .unread import REASON, unread_layers


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"a.weight": (8, 3, 3, 3), "b.weight": (8, 8, 3, 3), "c.weight": (4, 8, 5, 5)}
    weights = {name: rng.standard_normal(x).astype(np.float32) for name, x in sizes.items()}
    (tmp_path / "in").mkdir()
    save_file(weights, tmp_path / "in/net.safetensors", metadata={"format": "pt"})
    return tmp_path / "in"


def test_what_was_read_counts_and_the_reason_counts_all_sizes(folder):
    whole = measure_checkpoints(folder)
    with unread_layers("b.weight"):
        found = measure_checkpoints(folder)
    (entry,) = found.entries
    assert entry.status == "partial"
    assert entry.reason == f"2 of 3 layers read; not read: {REASON} (1)"
    assert [planned.layer.name for planned in entry.layers] == ["a.weight"]
    assert found.statistics.n_kernels.tolist() == whole.statistics.n_kernels.tolist()[:1]
    assert found.statistics.histogram.sum() == 9 * 24


def test_the_record_the_tables_and_the_summary_say_so(folder, tmp_path):
    with unread_layers("b.weight"):
        (found := scan(folder)).save(tmp_path / "out")
    record = json.loads((tmp_path / "out/scan.json").read_text())
    totals = record["totals"]
    assert [totals[x] for x in ("ok", "partial", "empty", "refused", "failed")] == [0, 1, 0, 0, 0]
    assert record["checkpoints"][0]["status"] == "partial"
    assert pq.read_table(tmp_path / "out/layers.parquet").num_rows == 1
    text = shown(summary_text(Summary(found)), 80)
    assert "1 checkpoint (1 read in part), 1 layer, 24 3x3 kernels" in text
    assert "partial net.safetensors: 2 of 3 layers read" in text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.weight", "b.weight", "c.weight"], f"none of its 3 .* could be read: {REASON} .3."),
        (["a.weight", "b.weight"], "no 3x3 convolution among those that were read; 1 of 3"),
    ],
)
def test_without_a_layer_of_the_size_it_is_refused_and_not_empty(folder, names, said):
    with unread_layers(*names):
        (entry,) = measure_checkpoints(folder).entries
        with pytest.raises(CheckpointError, match=said):
            scan(folder, Options(strict=True))
    assert entry.status == "refused"
    assert entry.layers == ()


def test_a_strict_scan_ends_at_it_even_if_it_was_read_before(folder, tmp_path):
    strict = Options(strict=True)
    with unread_layers("b.weight"):
        scan_into(tmp_path / "out", folder)
        for out in ("out", "new"):
            with pytest.raises(
                CheckpointError, match=r"net.safetensors: 2 of 3 .*without --strict"
            ):
                scan_into(tmp_path / out, folder, strict)


def test_it_comes_back_from_the_cache_as_it_was(folder, tmp_path, monkeypatch):
    with unread_layers("b.weight"):
        first = scan_into(tmp_path / "out", folder)
    before = {
        path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()
    }
    kept = []
    find = cache.Cache.find
    monkeypatch.setattr(cache.Cache, "find", lambda *x: kept.append(find(*x)) or kept[-1])
    again = scan_into(
        tmp_path / "out", folder
    )  # nothing is set aside now: what is read is the cache
    assert [reading.entry.status for reading in kept] == ["partial"]
    assert again.record["checkpoints"] == first.record["checkpoints"]
    for name, data in before.items():
        assert (tmp_path / "out" / name).read_bytes() == data, name


def test_it_travels_between_processes_as_it_is(folder):
    with unread_layers("b.weight"):
        found = measure_checkpoints(folder)
    (entry,) = found.entries
    statistics = CheckpointStatistics(entry, found.statistics, found.sample, found.sketches)
    assert load(dump(statistics), entry).entry == entry


def test_inspect_says_how_much_was_read(folder):
    with unread_layers("b.weight"):
        found = inspect(folder / "net.safetensors")
        assert found.layers["layer"].to_pylist() == ["a.weight", "c.weight"]
    text = shown(inspection_text(found), 80)
    assert "2 of 3 layers read; not read: spectral norm" in text
    assert "not read: spectral norm" in text.split("skipped array")[1].replace("\n", " ")
