import io

import numpy as np
import pytest
import torch
from rich.console import Console

from jfilters.engine import inspect
from jfilters.questions import FoldedScan, folded_quality
from jfilters.report import folded_text


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.Conv2d(16, 8, 3)
    )
    # A quarter of the channels all but vanish, as they do in trained networks.
    net[1].weight.data[:4] = 1e-4
    torch.save(net.state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


def test_raw_numbers_are_those_of_inspect(checkpoint):
    rows = folded_quality(checkpoint).to_pylist()
    expected = {row["layer"]: row for row in inspect(checkpoint).layers.to_pylist()}
    assert len(rows) == len(expected) == 2
    for row in rows:
        raw = expected[row["layer"]]
        assert row["verdict"] == raw["verdict"]
        for name in ("sparsity", "variance_entropy", "orthogonality"):
            assert row[name] == pytest.approx(raw[name], abs=1e-5)


def test_folding_shows_channels_that_the_norm_turns_off(checkpoint):
    first, second = folded_quality(checkpoint).to_pylist()
    assert first["norm"] == "1"
    assert (first["sparsity"], first["sparsity_folded"]) == (0, 0.25)
    assert first["orthogonality_folded"] == pytest.approx(first["orthogonality"], abs=1e-5)
    assert second["untied"] == "no BatchNorm at 3"
    assert second["verdict_folded"] is None


def test_a_scale_of_zero_makes_an_all_zero_layer(checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    state["1.weight"] = torch.zeros(16)
    torch.save(state, checkpoint)
    first = folded_quality(checkpoint).to_pylist()[0]
    assert first["verdict_folded"] == "all-zero"
    assert first["orthogonality_folded"] == 1


def test_the_limit_of_sparsity_is_passed_on(checkpoint):
    assert folded_quality(checkpoint, sparse_eps=2.0).to_pylist()[0]["sparsity"] == 1


def test_numbers_that_are_undefined_are_null(tmp_path):
    np.savez(tmp_path / "one.npz", **{"conv.weight": np.full((1, 2, 3, 3), np.nan, np.float32)})
    row = folded_quality(tmp_path / "one.npz").to_pylist()[0]
    assert row["verdict"] == "non-finite"
    assert row["orthogonality"] is None


def test_the_text_fits_80_columns_and_tells_why(checkpoint):
    rows = [{"model": "net.pt", **row} for row in folded_quality(checkpoint).to_pylist()]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(folded_text(FoldedScan(rows, {"gone.pt": "no such file"})))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "1 layer of 2 with a BatchNorm to fold in" in text
    assert "folded 0.250" in text
    assert "net.pt: 1 layer: no BatchNorm at 3" in text
    assert "gone.pt: not read again: no such file" in text
