"""Verdicts counted along an axis and for every epsilon, and what could be pruned."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from jfilters.engine import scan_into
from jfilters.questions import _prunable, quality, sparse_kernels
from jfilters.report import quality_text
from jfilters.scans import open_scan

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


def test_models_count_their_verdicts(tmp_path):
    (first, second) = quality(scan(tmp_path)).models
    assert first["verdicts"] == {"all-zero": 1, "random-like": 1, "healthy": 1}
    assert second["verdicts"] == {"healthy": 2}
    assert "verdict" not in first


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.Conv2d(16, 8, 3)
    )
    with torch.no_grad():
        net[1].weight[:4] = 1e-4  # the norm turns these channels off
        net[2].weight[2, :5] *= 1e-4
    torch.save(net.state_dict(), folder / "net.pt")
    scan_into(folder / "out", folder / "net.pt")
    return folder


class TestPrunable:
    """Kernels that could be zero, of checkpoints that can be read again."""

    def test_it_counts_with_batchnorm_folded_in(self, scanned):
        (model,) = quality(open_scan(scanned / "out")).prunable
        assert (model.weights, model.kernels, model.sparse) == ("folded", 176, 4 * 3 + 5)
        assert (model.channels, model.channel_kernels) == (4, 12)
        assert (model.bytes, model.channel_bytes) == (17 * 36, 12 * 36)

    def test_of_weights_as_stored_channels_are_unknown(self, scanned):
        (model,) = quality(open_scan(scanned / "out"), fold_batchnorm=False).prunable
        assert (model.weights, model.sparse, model.bytes) == ("stored", 5, 5 * 36)
        assert model.channels is model.channel_kernels is model.channel_bytes is None

    def test_large_checkpoints_are_read_when_asked_alone(self, scanned, monkeypatch):
        monkeypatch.setattr(_prunable, "READ_AGAIN", 100)
        opened = open_scan(scanned / "out")
        assert quality(opened).prunable[0].weights == "stored"
        assert quality(opened, fold_batchnorm=True).prunable[0].weights == "folded"

    def test_a_checkpoint_that_changed_is_not_read(self, scanned, tmp_path):
        shutil.copytree(scanned, tmp_path, dirs_exist_ok=True)
        record = json.loads((tmp_path / "out/scan.json").read_text())
        record["checkpoints"][0]["path"] = str(tmp_path / "net.pt")
        (tmp_path / "out/scan.json").write_text(json.dumps(record))
        with open(tmp_path / "net.pt", "ab") as file:
            file.write(b"more")
        assert quality(open_scan(tmp_path / "out")).prunable[0].weights == "stored"

    def test_the_kernels_are_named(self, scanned):
        first, second = sparse_kernels(scanned / "net.pt")
        assert (first.layer, first.weights, second.weights) == ("0.weight", "folded", "stored")
        np.testing.assert_array_equal(first.is_sparse, np.tile(np.arange(16)[:, None] < 4, 3))
        assert np.argwhere(second.is_sparse).tolist() == [[2, i] for i in range(5)]

    def test_kernels_that_are_not_finite_are_not_sparse(self, tmp_path):
        weights = np.ones((2, 3, 3, 3), np.float32)
        weights[0, 0], weights[0, 1] = np.nan, 0
        save_file({"c.weight": weights}, tmp_path / "a.safetensors", {"format": "pt"})
        (layer,) = sparse_kernels(tmp_path / "a.safetensors")
        assert np.argwhere(layer.is_sparse).tolist() == [[0, 1]]

    def test_the_text_tells_dense_bytes_from_all_bytes(self, scanned):
        text = shown(quality_text(quality(open_scan(scanned / "out"))), 80)
        assert "net.pt *" in text
        (line,) = (line for line in text.splitlines() if line.startswith("net.pt"))
        assert line.split()[2:] == ["17", "9.7%", "4", "6.8%", "0", "1"]
        assert "A dense file saves" in " ".join(text.split())


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
