"""A checkpoint read by itself has the statistics that it has in a scan of many, to the last bit."""

import dataclasses
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.engine import Options
from jfilters.engine._bins import Bins
from jfilters.engine._checkpoint_statistics import dump, load
from jfilters.engine._local import Local
from jfilters.engine._plan import find_checkpoints, planned
from jfilters.engine._task import Context, counted, measured, ranged, run_task
from jfilters.engine._weight_stores import TemporaryStore
from jfilters.statistics import Basis, fixed_edges

# The segments of these layers: 1, 2, 9 and 37, and 129 and one block: many share blocks with others.
LAYERS = ((16, 3), (32, 64), (96, 96), (192, 192), (420, 400))
BASIS = Basis(np.zeros(9), np.eye(9), np.full(9, 1 / 9))


@pytest.fixture
def entries(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(0, len(LAYERS), 2):
        shapes = (*LAYERS[i:], *LAYERS[:i])
        weights = {
            f"conv{j}.weight": rng.standard_normal((*shape, 3, 3), np.float32)
            for j, shape in enumerate(shapes)
        }
        save_file(weights, tmp_path / f"{i}.safetensors", metadata={"format": "pt"})
    (tmp_path / "broken.safetensors").write_bytes(b"\1")
    return list(enumerate(planned(tmp_path, find_checkpoints(tmp_path)[0])))


def context(tmp_path, **options):
    return Context(Options(**options), tmp_path)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """Tasks change the folder of their process, and keep what they compile."""
    monkeypatch.chdir(os.getcwd())
    monkeypatch.setattr("jfilters.engine._task.keep_compiled", lambda: None)


def test_alone_and_among_others_the_cards_are_the_same(entries, tmp_path):
    bins = Bins(BASIS, fixed_edges(9, 70))
    with TemporaryStore() as store, Local(Options(), store) as engine:
        together = dict(engine.measure(entries))
        failed, low_high = engine.coefficient_range(
            [(i, r) for i, r in together.items() if len(r.layers)], BASIS
        )
        hashes = [engine.sha256(index) for index, _ in entries]
        again = dict(engine.count([(i, r) for i, r in together.items() if len(r.layers)], bins))
    ranges = []
    for index, entry in entries:
        alone = run_task(context(tmp_path), measured, entry, b"", None)
        first = load(alone.statistics, entry)
        assert alone.sha256 == hashes[index]
        if not len(first.layers):
            assert dump(first) == dump(together[index])
            continue
        ranges.append(run_task(context(tmp_path), ranged, first.entry, alone.statistics, BASIS))
        second = run_task(context(tmp_path), counted, first.entry, alone.statistics, bins)
        assert second.statistics == dump(again[index])
    assert not failed
    assert not any(part.statistics for part in ranges)
    lows, highs = zip(*(part.low_high for part in ranges), strict=True)
    assert (min(lows), max(highs)) == low_high


def test_relative_paths_are_meant_from_the_folder_of_the_scan(entries, tmp_path):
    _, entry = entries[0]
    near = dataclasses.replace(entry, path=entry.path.relative_to(tmp_path))
    assert (
        load(run_task(context(tmp_path), measured, near, b"", None).statistics, near).entry.status
        == "ok"
    )
    away = run_task(context(tmp_path / "nowhere"), measured, entry, b"", None)
    assert load(away.statistics, entry).entry.status == "ok"


def test_a_checkpoint_that_went_away_has_failed(entries, tmp_path):
    _, entry = entries[0]
    first = load(run_task(context(tmp_path), measured, entry, b"", None).statistics, entry)
    entry.path.unlink()
    failed = run_task(context(tmp_path), ranged, first.entry, dump(first), BASIS)
    assert load(failed.statistics, entry).entry.status == "failed"


def test_the_error_of_a_strict_scan_is_handed_back(entries, tmp_path):
    broken = next(entry for _, entry in entries if entry.model == "broken.safetensors")
    error = run_task(context(tmp_path, strict=True), measured, broken, b"", None)
    assert isinstance(error, CheckpointError)
    assert "broken.safetensors" in str(error)
