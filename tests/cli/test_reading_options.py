"""`--network` and `--standardize` of every command that opens checkpoints, and checkpoints read in part."""

import json

import numpy as np
import pytest
import typer.main
from jfilters_cli._app import app
from safetensors.numpy import save_file

from jfilters.converters import open_checkpoint

from ..engine.unread import unread_layers
from .commands import fail, run

COMMANDS = ("scan", "inspect", "compare", "nearest", "convert", "density score")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "nets").mkdir()
    for name in ("a", "b"):
        weights = {
            f"conv{i}.weight": rng.standard_normal((8, 4, 3, 3)).astype(np.float32)
            for i in range(3)
        }
        save_file(weights, tmp_path / f"nets/{name}.safetensors", metadata={"format": "pt"})
    return tmp_path


def options(command):
    group = typer.main.get_command(app)
    for name in command.split():
        group = group.commands[name]
    return {option for parameter in group.params for option in parameter.opts}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_open_checkpoints_have_both(command):
    assert {"--network", "--standardize"} <= options(command)


def test_inspect_shows_what_is_applied_only_where_it_differs(here):
    plain = run("inspect", "nets/a.safetensors").stdout
    assert "effective" not in plain
    standard = run("inspect", "nets/a.safetensors", "--standardize").stdout
    assert "effective weights: all standardized" in standard
    assert max(map(len, standard.splitlines())) <= 80
    done = run("inspect", "nets/a.safetensors", "--standardize", "--format", "json")
    layers = json.loads(done.stdout)["layers"]
    assert {layer["applied"] for layer in layers} == {"standardized"}
    assert {layer["network"] for layer in layers} == {None}


def test_a_scan_keeps_them_apart_and_records_them(here):
    (here / "s.toml").write_text("standardize = true\n")
    records = []
    for arguments in ((), ("--config", "s.toml"), ()):
        done = run("scan", "--checkpoints", "nets", "--out", "o", "--format", "json", *arguments)
        assert done.exit_code == 0
        records.append(json.loads(done.stdout))
    assert [record["config"]["standardize"] for record in records] == [False, True, False]
    assert records[0] == records[2]
    assert records[0]["config"]["network"] is None


def test_convert_writes_weights_as_they_were_read(here):
    assert run("convert", "nets/a.safetensors", "-o", "k.npz", "--standardize").exit_code == 0
    layer = open_checkpoint(here / "k.npz").layers[0]
    assert layer.layer.applied == "standardized"
    rows = layer.read().reshape(8, -1)
    np.testing.assert_allclose(rows.std(axis=1), 1, rtol=1e-5)


def test_standardized_weights_are_compared(here):
    args = ("nets/a.safetensors", "nets/a.safetensors", "--standardize", "--format", "json")
    (pair,) = json.loads(run("compare", *args).stdout)
    assert pair["verdict"] == "identical"


class TestReadInPart:
    @pytest.fixture(autouse=True)
    def unread(self, here):
        with unread_layers("conv1.weight"):
            yield

    def test_a_scan_names_them_and_ends_with_1(self):
        done = run("scan", "--checkpoints", "nets")
        assert done.exit_code == 1
        assert "2 checkpoints (2 read in part), 4 layers" in done.stdout
        assert "partial a.safetensors: 2 of 3 layers read" in done.stdout

    def test_its_csv_has_the_status(self):
        done = run("scan", "--checkpoints", "nets", "--format", "csv")
        assert done.stdout.count(",partial,2 of 3 layers read") == 2

    def test_a_strict_scan_stops(self, monkeypatch, capsys):
        said = fail(monkeypatch, capsys, "scan", "--checkpoints", "nets", "--strict")
        assert "a.safetensors: 2 of 3 layers read" in said

    def test_convert_says_so_and_ends_with_1(self):
        done = run("convert", "nets/a.safetensors", "-o", "k.npz")
        assert done.exit_code == 1
        assert "layers: 2" in done.stderr
        assert "nets/a.safetensors: 2 of 3 layers read" in done.stderr

    def test_compare_and_inspect_say_so(self):
        done = run("compare", "nets/a.safetensors", "nets/b.safetensors")
        assert done.stdout.count("2 of 3") >= 2
        done = run("inspect", "nets/a.safetensors")
        assert "2 of 3 layers read" in done.stdout

    def test_nearest_says_so(self):
        run("scan", "--checkpoints", "nets", "--out", "o")
        done = run("nearest", "o", "nets/a.safetensors")
        assert done.exit_code == 0
        assert "a.safetensors: 2 of 3 layers read" in done.stdout
