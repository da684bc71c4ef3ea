"""Both sides of every comparison do the same work, and a difference is noticed."""

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import _bandwidth, _drift, _groups, _histograms, _peers, _quality
from benchmarks._timing import Row
from jfilters.shift import probability
from jfilters.statistics import fixed_edges


def test_the_papers_way_counts_what_a_scan_counts(tmp_path):
    _histograms.write_network(tmp_path / "network.safetensors", width=20)
    basis = _histograms.check(tmp_path / "network.safetensors")
    assert (np.diff(basis.variance_ratio) < -0.001).all()  # else components could be swapped


def test_other_histograms_are_noticed():
    counts = np.full((9, 70), 100)
    other = counts + np.where(np.arange(70) < 35, 1, -1)
    with pytest.raises(AssertionError, match="differ"):
        _histograms._alike(counts, other, within=1e-3)


def test_both_loops_over_pairs_give_the_drift_matrix():
    p = np.asarray(probability(_drift.random_counts(), fixed_edges(9)))
    pairs = [(0, 1), (5, 300), (646, 2), (7, 7)]
    _drift.check(p, _peers.drift_by_entropy, pairs)
    _drift.check(p, _peers.drift_by_rel_entr, pairs)
    with pytest.raises(AssertionError):
        _drift.check(p, lambda p, q, ratio: _peers.drift_by_entropy(p, q, ratio) + 1e-8, pairs)


@pytest.mark.filterwarnings("ignore")
def test_the_quality_packages_find_the_same_numbers():
    pytest.importorskip("torchconvquality")
    pytest.importorskip("weightwatcher")
    kernels = _quality.random_kernels((64, 128))
    module = _quality.as_module(kernels)
    _quality.check(kernels, module)
    other = _quality.as_module(_quality.random_kernels((128, 64)))
    with pytest.raises(AssertionError):
        _quality.check(kernels, other)


def test_the_histogram_pass_counts_every_kernel(tmp_path):
    (row,) = _bandwidth.rows(tmp_path, quick=True)
    assert "262,144" in row.work
    assert row.least_ratio == 1 / 8


def test_a_group_is_measured_in_a_process_of_its_own(tmp_path):
    (row,) = _groups.measured(["bandwidth"], quick=True)
    assert "262,144" in row.work


def test_chosen_groups_are_printed_and_not_kept(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(command, "measured", measured(asked, Row("some work", ours=1.0, runs=1)))
    monkeypatch.setattr(command, "write", lambda *_: pytest.fail("wrote part of the table"))
    command.main(["drift", "--quick"])
    assert asked == [(["drift"], True)]
    assert "some work" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "density, got nothing" in capsys.readouterr().err


def test_a_whole_run_is_kept(monkeypatch, tmp_path):
    asked = []
    row = Row("some work", ours=1.0, runs=1, ratio=3.0, least_ratio=2)
    monkeypatch.setattr(command, "measured", measured(asked, row))
    monkeypatch.setattr(command, "OUT", tmp_path / "bench")
    monkeypatch.setattr(command, "PACKAGES", ("jax",))
    command.main([])
    assert asked == [(list(_groups.GROUPS), False)]
    assert '"met": true' in (tmp_path / "bench" / "speed.json").read_text()
    assert "| some work |" in (tmp_path / "bench" / "speed.md").read_text()


def measured(asked, row):
    def instead(groups, *, quick):
        asked.append((list(groups), quick))
        return [row]

    return instead
