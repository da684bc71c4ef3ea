"""Runs of checkpoints along their steps: found by name, measured, and settled or not."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import Options, scan_into
from jfilters.questions import trajectories
from jfilters.report import trajectory_text
from jfilters.scans import open_scan
from jfilters.scans.internal import run_and_step

from ..report.pages import shown


@pytest.mark.parametrize(
    ("name", "run", "step"),
    [
        ("run/epoch=3-step=500.ckpt", "run/epoch=*-step=*.ckpt", 500),
        ("epoch=3-step=500-val_loss=0.12.ckpt", "epoch=*-step=*-val_loss=*.ckpt", 500),
        ("net_epoch_12.pth", "net_epoch_*.pth", 12),
        ("checkpoint-1000/model.safetensors", "checkpoint-*/model.safetensors", 1000),
        ("resnet18_7.pth", "resnet18_*.pth", 7),
        ("v2/model.0010.bin", "v2/model.*.bin", 10),
        ("plain.pth", "plain.pth", None),
    ],
)
def test_names_tell_run_and_step(name, run, step):
    assert run_and_step(name, None) == (run, step)


def test_the_step_of_a_manager_is_taken_as_told():
    assert run_and_step("run1/200", 200) == ("run1/*", 200)


def network(seed, smooth):
    weights = np.random.default_rng(seed).standard_normal((48, 32, 3, 3))
    weights += smooth * weights.mean(axis=(2, 3), keepdims=True)
    return {"conv.weight": weights.astype(np.float32)}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for step, smooth in {5: 0, 10: 2, 100: 7.9, 200: 8}.items():
        save_file(network(step, smooth), folder / f"moves_{step}.safetensors", {"format": "pt"})
    for step in (1, 2):
        save_file(network(step, 1), folder / f"still_{step}.safetensors", {"format": "pt"})
    save_file(network(0, 0), folder / "alone.safetensors", {"format": "pt"})
    scan_into(folder / "out", folder)
    return open_scan(folder / "out")


def test_runs_are_found_and_ordered_by_step(scan):
    found = {run.run: run for run in trajectories(scan)}
    assert list(found) == ["moves_*.safetensors", "still_*.safetensors"]
    assert [point.step for point in found["moves_*.safetensors"].points] == [5, 10, 100, 200]


def test_drifts_are_those_of_the_matrix(scan):
    points = trajectories(scan)[0].points
    rows = (scan.folder / "drift-model.csv").read_text("utf-8").splitlines()
    names = rows[0].split(",")[1:]
    matrix = {
        row.split(",")[0]: dict(zip(names, map(float, row.split(",")[1:]), strict=True))
        for row in rows[1:]
    }
    assert points[0].previous is None
    for i, point in enumerate(points):
        assert point.first == pytest.approx(matrix[point.model][points[0].model], abs=1e-12)
        assert point.last == pytest.approx(matrix[point.model][points[-1].model], abs=1e-12)
        if i:
            expected = matrix[point.model][points[i - 1].model]
            assert point.previous == pytest.approx(expected, abs=1e-12)


def test_a_run_settles_where_what_is_left_is_chance_and_one_that_stays_never_moved(scan):
    moves, still = trajectories(scan)
    assert moves.settled == 100
    assert still.settled is None


def test_the_quality_of_a_step_is_that_of_its_model(scan):
    point = trajectories(scan)[0].points[1]
    row = next(row for row in scan.model_table.to_pylist() if row["model"] == point.model)
    assert point.variance_entropy_ratio == row["variance_entropy_ratio"]
    assert point.orthogonality == row["orthogonality"]
    assert point.n_degenerate == row["n_degenerate"]


def test_a_scan_without_runs_is_an_error_that_says_what_was_expected(scan):
    names = np.array(scan.layer_table["model"].to_pylist())
    with pytest.raises(ValueError, match=r"holds no run: expected the steps"):
        trajectories(scan.only(names == "alone.safetensors"))


def test_seeds_are_no_run_but_a_pattern_makes_one_of_them(tmp_path):
    for seed in range(3):
        name = tmp_path / f"resnet18_seed{seed}.safetensors"
        save_file(network(seed, 1), name, {"format": "pt"})
    scan_into(tmp_path / "out", tmp_path)
    seeds = open_scan(tmp_path / "out")
    with pytest.raises(ValueError, match="--run PATTERN"):
        trajectories(seeds)
    (run,) = trajectories(seeds, run="resnet18_seed*.safetensors")
    assert [point.step for point in run.points] == [0, 1, 2]
    assert seeds.model_table["run"].to_pylist() == [None] * 3
    again = scan_into(tmp_path / "out", tmp_path, Options(run="resnet18_seed*.safetensors"))
    assert again.model_table["run"].to_pylist() == ["resnet18_seed*.safetensors"] * 3
    assert len(trajectories(open_scan(tmp_path / "out"))) == 1


def test_the_record_is_json_and_the_page_fits(scan):
    found = trajectories(scan)
    record = json.loads(json.dumps(found.record()))
    assert [run["settled"] for run in record] == [100, None]
    text = shown(trajectory_text(found), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "settled at step 100" in text
    assert "never moved" in text
