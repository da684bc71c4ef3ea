"""Verdicts counted along an axis and for every epsilon, and what could be pruned."""

import json

import numpy as np
import pytest

from jfilters.questions import quality
from jfilters.report import quality_text

from ..report.pages import shown
from ..scans.scans import made_scan, replaced

SIZES = {"a.pt": 3, "b.pt": 2}


def scan(folder, **told):
    rows = {("a.pt", 0): {"verdict": "random-like"}, ("a.pt", 2): {"verdict": "all-zero"}} | told
    return made_scan(folder, SIZES, told=rows)


def test_degenerate_layers_are_counted_by_label(tmp_path):
    found = quality(scan(tmp_path), by="model")
    assert found.verdicts == {"all-zero": 1, "random-like": 1, "healthy": 3}
    assert [(s.label, s.layers, s.degenerate) for s in found.shares] == [
        ("a.pt", 3, 2),
        ("b.pt", 2, 0),
    ]
    assert found.shares[0].share == pytest.approx(2 / 3)


def test_labels_that_are_numbers_keep_their_order_and_unknown_ones_come_last(tmp_path):
    rows = {("a.pt", i): {"step": step} for i, step in enumerate((10, 9, None))}
    rows |= {("b.pt", 0): {"step": 100}, ("b.pt", 1): {"step": 9}}
    found = quality(made_scan(tmp_path, SIZES, told=rows), by="step")
    assert [(s.label, s.layers) for s in found.shares] == [
        ("9", 2),
        ("10", 1),
        ("100", 1),
        ("unknown", 1),
    ]


def test_an_axis_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="expected an axis, got 'taks'"):
        quality(scan(tmp_path), by="taks")


def test_the_strip_judges_every_layer_anew(tmp_path):
    # Of 40 kernels an entropy of 0.4 can be chance, 0.2 cannot.
    base = made_scan(tmp_path, {"a.pt": 2}, told={("a.pt", 0): {"variance_entropy": 0.2}})
    # Of 40 kernels six are 15 %: above 0.14, the limit of METHOD.
    sparse_at = np.array([[0, 6, 40], [0, 5, 6]])
    found = quality(replaced(base, sparse_at=sparse_at))
    assert found.strip == {
        0.001: {"low-diversity": 1, "healthy": 1},
        0.01: {"collapsed": 1, "healthy": 1},
        0.05: {"collapsed": 1, "sparse": 1},
    }


def test_without_counts_there_is_no_strip(tmp_path):
    found = quality(replaced(scan(tmp_path), sparse_at=None, sparse_eps=None))
    assert found.strip is None
    assert found.record()["strip"] is None


def test_prunable_bytes_follow_the_dtype(tmp_path):
    rows = {("b.pt", 1): {"n_sparse": 4, "dtype": "float16"}, ("a.pt", 2): {"n_sparse": 0}}
    found = quality(made_scan(tmp_path, SIZES, told=rows)).prunable
    told = [(model.model, model.sparse, model.kernels, model.bytes) for model in found]
    # Layers have as many sparse kernels as their depth says: one in a.pt.
    assert told == [("b.pt", 4, 80, 4 * 9 * 2), ("a.pt", 1, 120, 9 * 4)]


@pytest.mark.parametrize(
    ("dtype", "size"), [("float64", 72), ("bfloat16", 18), ("int8", 9), ("int4", 4), ("odd", 36)]
)
def test_bytes_of_a_kernel(dtype, size, tmp_path):
    found = quality(made_scan(tmp_path, {"a": 1}, told={("a", 0): {"n_sparse": 1, "dtype": dtype}}))
    assert found.prunable[0].bytes == size


def test_layers_stand_beside_random_ones(tmp_path):
    rows = {("a.pt", 0): {"in_channels": 32, "groups": 8}, ("a.pt", 1): {"n_kernels": 5}}
    first, second, *_ = quality(made_scan(tmp_path, SIZES, told=rows)).layers
    assert first["random_orthogonality"] == pytest.approx(1 - np.sqrt(2 / (np.pi * 4 * 9)))
    # arXiv:2203.15331, the fitted sigmoid at n = 40.
    expected = 1.2618047 / (1 + np.exp(-0.88767525 * (np.log2(40) - 2.30436435))) - 0.31050834
    assert first["random_variance_entropy"] == pytest.approx(expected, rel=1e-5)
    assert second["random_variance_entropy"] is None


def test_models_are_those_of_the_scan(tmp_path):
    base = scan(tmp_path)
    found = quality(base).models
    assert [row["model"] for row in found] == base.model_names
    assert [row["n_layers"] for row in found] == [3, 2]
    assert found[0]["sparsity"] == base.model_table["sparsity"].to_pylist()[0]


def test_the_record_is_json_and_the_page_fits(tmp_path):
    found = quality(scan(tmp_path))
    assert json.loads(json.dumps(found.record()))["verdicts"]["healthy"] == 3
    text = shown(quality_text(found, layers=True), 80)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("5 layers", "0.0-0.1", "could be pruned", "conv2.weight", "random-like"):
        assert word in text
