"""The forest of page and figure: weights are read only where that is cheap and possible."""

import dataclasses
import shutil

import pytest

from jfilters.questions.lineage import _population
from jfilters.report import _shown_forest
from jfilters.report._shown_forest import FROM_WEIGHTS, shown_forest
from jfilters.scans import open_scan
from tests.scans.scans import made_scan, replaced

from .kin import kin_scan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return kin_scan(tmp_path_factory.mktemp("kin"))


@pytest.fixture
def scan(folder):
    return open_scan(folder)


def relations(forest):
    return {edge.relation for edge in forest.edges}


def at(scan, change):
    """The scan with another record of its checkpoints."""
    checkpoints = [entry | change(entry) for entry in scan.record["checkpoints"]]
    return dataclasses.replace(scan, record=scan.record | {"checkpoints": checkpoints})


def test_few_local_checkpoints_are_read(scan):
    forest, origin = shown_forest(scan)
    assert {"soup", "pruned", "re-saved"} <= relations(forest)
    assert forest.unread == ()
    assert origin == FROM_WEIGHTS


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("MOST_READ", "6 models in families are too many"), ("MOST_BYTES", "too much to read")],
)
def test_what_is_not_cheap_is_not_read(scan, monkeypatch, limit, reason):
    monkeypatch.setattr(_shown_forest, limit, 5)
    forest, origin = shown_forest(scan)
    assert "soup" not in relations(forest)
    assert len(forest.unread) == 6
    assert reason in origin


@pytest.mark.parametrize(
    "path", ["s3://bucket/a.safetensors", "https://example.org/a", "/nowhere", ""]
)
def test_weights_that_lie_elsewhere_are_not_read(scan, path, monkeypatch):
    from jfilters.questions.lineage import _population

    monkeypatch.setattr(_population, "read_members", lambda *_: pytest.fail("weights were read"))
    forest, origin = shown_forest(at(scan, lambda _: {"path": path}))
    assert len(forest.families[0].models) == 6
    assert "not where they were scanned" in origin


def test_one_checkpoint_that_is_gone_leaves_its_family_to_the_sketches(folder, tmp_path):
    shutil.copytree(folder.parent / "in", tmp_path / "in")
    (tmp_path / "in/half.safetensors").unlink()
    moved = at(open_scan(folder), lambda x: {"path": str(tmp_path / "in" / x["model"])})
    forest, origin = shown_forest(moved)
    assert origin == FROM_WEIGHTS
    assert "half.safetensors" in forest.unread


def test_a_scan_without_sketches_is_an_error(tmp_path):
    scan = made_scan(tmp_path, {"a": 1, "b": 1})
    names = [name for name in scan.arrays if name.startswith(("sketch", "kernel_hash"))]
    with pytest.raises(ValueError, match="no sketches"):
        shown_forest(replaced(scan, **dict.fromkeys(names)))


def test_more_models_than_are_compared_are_an_error(scan, monkeypatch):
    monkeypatch.setattr(_population, "MOST_COMPARED", 6)
    with pytest.raises(ValueError, match="at most 6 models to compare, found 7"):
        shown_forest(scan)
