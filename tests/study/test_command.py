import csv
import dataclasses
import json

import jax
import numpy as np
import pytest

from jfilters import load, open_checkpoint, scan
from jfilters.engine import Options
from jfilters.scans import read_metadata
from study import _one, _pool, _tables
from study.__main__ import main
from study._one import BelowFloorError, kernels_sha256, record_file, train_one, untrained
from study._pool import trained
from study._tables import write_tables

from . import tiny

EVERY_FORMAT = [
    {"framework": "linen", "architecture": "plain"},
    {"framework": "nnx", "architecture": "plain"},
    {"framework": "equinox", "architecture": "separable"},
    {"framework": "torch", "format": "torch"},
    {"framework": "torch", "format": "safetensors"},
    {"framework": "torch", "format": "onnx"},
]


def read_csv(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def weights_of(model):
    """The 3x3 weights of a model as (out, in, height, width), as its framework has them."""
    if hasattr(model, "params"):
        names = sorted(model.params, key=lambda name: int(name.removeprefix("conv")))
        arrays = [np.asarray(model.params[name]["kernel"]).transpose(3, 2, 0, 1) for name in names]
    elif hasattr(model.network, "convs"):
        arrays = [np.asarray(conv.weight) for conv in model.network.convs]
    else:
        arrays = [m.weight.detach().numpy() for m in model.network.children()]
    return [array for array in arrays if array.shape[2:] == (3, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("chosen", EVERY_FORMAT, ids=lambda chosen: "-".join(chosen.values()))
def test_what_is_written_is_read_bit_for_bit(chosen, tmp_path):
    run, told = tiny.run(**chosen), tiny.settings()
    last = dict(_one._trained(run, told, 0))[3]
    path = last.write(tmp_path / run.name, 3, run.format)
    found = load(path)
    expected = weights_of(last)
    assert len(found.weights) == len(expected)
    for weight, reference in zip(found.weights, expected, strict=True):
        np.testing.assert_array_equal(weight, reference)
    depthwise = [layer.groups for layer in found.layers if layer.groups > 1]
    assert len(depthwise) == (6 if run.architecture == "separable" else 0)
    depths = [layer.depth for layer in found.layers]
    assert depths == sorted(set(depths))


def test_a_run_leaves_its_checkpoints_and_its_record(tmp_path):
    run = tiny.run(framework="linen")
    record = train_one(run, tiny.settings(), tmp_path)
    assert json.loads(record_file(tmp_path, run).read_text()) == record
    paths = [tmp_path / "checkpoints" / kept["model"] for kept in record["kept"]]
    assert [kept["step"] for kept in record["kept"]] == [0, 3]
    assert [kernels_sha256(path) for path in paths] == [kept["kernels"] for kept in record["kept"]]
    assert not list((tmp_path / "checkpoints").glob(".*"))
    first = open_checkpoint(paths[0]).layers[0].read()
    np.testing.assert_array_equal(first, weights_of(untrained(run))[0])


@pytest.mark.parametrize("framework", ["equinox", "torch"])
def test_a_run_is_the_same_every_time(framework, tmp_path):
    run = tiny.run(framework=framework)
    first, again = (train_one(run, tiny.settings(), tmp_path / name) for name in "ab")
    assert [kept["kernels"] for kept in first["kept"]] == [
        kept["kernels"] for kept in again["kept"]
    ]


def test_a_network_below_its_floor_is_tried_again_and_then_refused(tmp_path):
    run, told = tiny.run(task="classification", framework="torch"), tiny.settings()
    floors = {"classification": {run.visual_category: 1.01}}
    strict = dataclasses.replace(told, floors=floors)
    with pytest.raises(
        BelowFloorError, match=r"accuracy of at least 1.01, reached .*, .* in 2 tries"
    ):
        train_one(run, strict, tmp_path)
    assert not record_file(tmp_path, run).exists()
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_second_try_may_reach_the_floor(tmp_path, monkeypatch):
    run, told = tiny.run(task="classification", framework="torch"), tiny.settings()
    scores = iter([0.2, 0.3, 0.2, 0.9])
    task = dataclasses.replace(_one.TASKS[run.task], score=lambda outputs, test: next(scores))
    monkeypatch.setitem(_one.TASKS, run.task, task)
    strict = dataclasses.replace(told, floors={"classification": {run.visual_category: 0.5}})
    record = train_one(run, strict, tmp_path)
    assert (record["tries"], record["steps"], record["score"]) == (2, 6, 0.9)


@pytest.fixture
def little(tmp_path, monkeypatch):
    """The command on four runs of a tiny study, trained in this process; and what was trained."""
    told, count = tiny.settings(), []
    chosen = tuple(tiny.run(format=name) for name in ("torch", "safetensors", "onnx", "orbax"))
    monkeypatch.setattr("study.__main__.read_settings", lambda path: told)
    monkeypatch.setattr("study.__main__.design", lambda settings: chosen)

    def here(runs, settings, out, workers):
        for run in runs:
            count.append(run.name)
            try:
                yield run, train_one(run, settings, out)
            except BelowFloorError as error:
                yield run, error

    monkeypatch.setattr("study.__main__.trained", here)
    out = tmp_path / "out"
    return lambda *more: main(["--config", "x.toml", "--out", str(out), *more]), out, count


def test_the_command_writes_what_a_scan_reads(little):
    command, out, _ = little
    assert command() == 0
    table = read_metadata(out / "metadata.csv")
    found = scan(out / "checkpoints", Options(), metadata=table, progress=False)
    checkpoints = found.record["checkpoints"]
    assert {entry["status"] for entry in checkpoints} == {"ok"}
    assert len(checkpoints) == 8
    labels = {row["model"]: row for row in found.layer_table.to_pylist()}
    told = [labels[entry["model"]] for entry in checkpoints]
    assert {row["framework"] for row in told} == {"linen", "torch"}
    assert sorted(str(row["stage"]) for row in told) == ["initial"] * 4 + ["trained"] * 4
    rows = read_csv(out / "hashes.csv")
    hashes = {row["model"]: row["kernels_sha256"] for row in rows}
    assert hashes.keys() == set(table.keys)
    for model, expected in hashes.items():
        assert kernels_sha256(out / "checkpoints" / model) == expected


def test_what_is_finished_is_not_trained_again(little):
    command, out, count = little
    assert command("--only", "*-torch") == 0
    assert len(count) == 3
    assert command() == 0
    assert len(count) == len(set(count)) == 4
    tables = [(out / name).read_bytes() for name in ("metadata.csv", "hashes.csv")]
    assert command() == 0
    assert len(count) == 4
    assert tables == [(out / name).read_bytes() for name in ("metadata.csv", "hashes.csv")]


def test_an_interrupted_study_keeps_what_is_finished(little, monkeypatch, capsys):
    command, out, _ = little
    monkeypatch.setattr("study.__main__.trained", _interrupted(train_one))
    assert command() == 130
    assert "run it again" in capsys.readouterr().err
    assert len(read_csv(out / "metadata.csv")) == 2


def _interrupted(train):
    def runs_of(runs, settings, out, workers):
        yield runs[0], train(runs[0], settings, out)
        raise KeyboardInterrupt

    return runs_of


def test_a_network_below_its_floor_fails_the_command(little, monkeypatch, capsys):
    command, _, _ = little
    monkeypatch.setattr(_one, "floor_of", lambda run, settings: 99.0)
    assert command("--only", "*-torch") == 1
    assert "FAILED BelowFloorError" in capsys.readouterr().err


def test_a_pattern_that_fits_nothing_is_a_usage_error(little):
    command, _, count = little
    assert command("--only", "nothing-like-it") == 2
    assert not count


@pytest.mark.slow
def test_workers_are_processes(tmp_path, monkeypatch):
    run = tiny.run(framework="torch")
    for name in _pool.ONE_THREAD:
        monkeypatch.setenv(name, "")
    ((found, outcome),) = trained([run], tiny.settings(), tmp_path, 1)
    assert found == run
    assert isinstance(outcome, dict)
    assert outcome["kept"][-1]["step"] == 3


def test_networks_of_the_zoo_stand_beside_those_of_the_study(little):
    command, out, _ = little
    zoo = out / "checkpoints" / "zoo"
    zoo.mkdir(parents=True)
    (zoo / "metadata.csv").write_text("model,task,license\nnet.onnx,detection,MIT\n")
    command("--only", "*-torch")
    *own, last = read_csv(out / "metadata.csv")
    assert {row["net"] for row in own} == {row["model"].split("/")[0] for row in own}
    told = {name: value for name, value in last.items() if value}
    assert told.pop("model") == told.pop("net") == "zoo/net.onnx"
    assert told == {"series": "zoo", "task": "detection", "stage": "trained"}
    assert "zoo/net.onnx" not in (out / "hashes.csv").read_text()


def test_no_table_of_nothing(tmp_path):
    write_tables(_tables.records([tiny.run()], tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_design_is_written_with_its_floors(little):
    command, out, _ = little
    command("--only", "*-torch")
    rows = read_csv(out / "design.csv")
    assert len({row["run"] for row in rows}) == len(rows) == 4
    assert {row["floor"] for row in rows} == {"-99.0"}
    told = json.loads((out / "study.json").read_text())
    assert told["settings"]["data"]["train"] == 12
    assert told["versions"]["jax"] == jax.__version__
