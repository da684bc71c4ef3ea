"""The scan and inspect commands as a user meets them: streams, exit codes, config files, typos."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.errors import UnknownFormatError
from jfilters.scans import open_scan

from .commands import fail, run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        weights = {"conv.weight": rng.standard_normal((8, 4, 3, 3)).astype(np.float32)}
        path = tmp_path / "nets" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file(weights, path, metadata={"format": "pt"})
    return "nets"


def test_a_scan_prints_its_summary_and_writes_where_it_says(folder, tmp_path):
    result = run("scan", "--checkpoints", folder)
    assert result.exit_code == 0
    assert "2 checkpoints (2 read), 2 layers, 64 3x3 kernels" in result.stdout
    assert "wrote results/nets" in result.stderr
    assert (tmp_path / "results/nets/scan.json").exists()


def test_json_leaves_nothing_else_on_stdout(folder):
    result = run("scan", "--checkpoints", folder, "--format", "json", "--out", "o")
    record = json.loads(result.stdout)
    assert record == json.loads(Path("o/scan.json").read_text())
    assert record["config"]["spatial"] == [3, 3]


def test_a_refused_checkpoint_is_named_and_makes_the_exit_code_1(folder, tmp_path):
    (tmp_path / folder / "cut.safetensors").write_bytes(b"\x00" * 7)
    result = run("scan", "--checkpoints", folder)
    assert result.exit_code == 1
    assert "cut.safetensors" in result.stdout
    assert "2 read, 1 refused" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spatial", "3by3"], "expected a kernel size such as 3x3"),
        (["--spatial", "1x1"], "expected a kernel size such as 3x3"),
        (["--range", "wide"], "expected fixed, data or LOW:HIGH"),
        (["--config", "missing.toml"], "missing.toml: no such file or folder"),
        (["--config", "cvpr23"], "a preset, one of cvpr22,"),
        (["--config", "cvpr23.toml"], "did you mean cvpr22?"),
        (["nets"], "DIR and --checkpoints are one thing"),
    ],
)
def test_usage_errors_say_what_was_expected(folder, arguments, said):
    result = run("scan", "--checkpoints", folder, *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_config_file_sets_options_and_the_command_line_wins(folder, tmp_path):
    (tmp_path / "my.toml").write_text(
        'checkpoints = "nets"\nspatial = "5x5"\nrange = "data"\nout = "x"\n'
    )
    assert run("scan", "--config", "my.toml", "--spatial", "3x3").exit_code == 0
    config = json.loads((tmp_path / "x/scan.json").read_text())["config"]
    assert (config["spatial"], config["range"]) == ([3, 3], "data")


def test_an_unknown_config_key_is_a_usage_error(folder, tmp_path):
    (tmp_path / "my.toml").write_text('checkpoint = "nets"\n')
    result = run("scan", "--config", "my.toml")
    assert result.exit_code == 2
    words = " ".join(result.stderr.split())
    assert "unknown key 'checkpoint'; did you mean checkpoints?; known are address, axes" in words


def test_folders_are_arguments_too(folder):
    assert run("scan", folder, "--out", "one").exit_code == 0
    assert run("scan", "--checkpoints", folder, "--out", "two").exit_code == 0
    assert Path("one/layers.parquet").read_bytes() == Path("two/layers.parquet").read_bytes()


def test_several_files_are_scanned_as_their_folder(folder):
    files = sorted(Path(folder).iterdir())
    assert run("scan", *files, "--spatial", "3x3").exit_code == 0
    assert open_scan(f"results/{Path(folder).name}").model_names == [file.name for file in files]


def test_a_preset_is_named_without_its_path(folder):
    assert run("scan", folder, "--config", "medical22", "--out", "one").exit_code == 0
    assert open_scan("one").record["config"]["range"] == [-3.0, 3.0]


def test_without_a_folder_the_command_says_how(folder):
    result = run("scan")
    assert result.exit_code == 2
    assert "expected a folder of checkpoints: jfilters scan DIR" in result.stderr


def test_open_writes_the_page_and_opens_it(folder, monkeypatch):
    pages = []
    monkeypatch.setattr("jfilters_cli._scan.open_page", pages.append)
    result = run("scan", folder, "--out", "one", "--open")
    assert result.exit_code == 0
    assert pages == [Path("one/report.html")]
    assert pages[0].is_file()


def test_an_empty_folder_is_said_to_be_one(tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("scan", tmp_path / "empty", "--out", tmp_path / "out")
    assert isinstance(result.exception, UnknownFormatError)
    assert "expected checkpoints, found nothing, hidden names aside" in str(result.exception)


def test_a_known_basis_is_used(folder):
    run("scan", "--checkpoints", folder, "--out", "one")
    run("scan", "--checkpoints", folder, "--out", "two", "--basis", "one/arrays.safetensors")
    for name in ("drift-model.csv", "layers.parquet"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_inspect_shows_layers_and_skipped_arrays(folder, tmp_path):
    save_file(
        {"c.weight": np.ones((4, 2, 3, 3), np.float32), "fc.weight": np.ones((3, 4), np.float32)},
        tmp_path / "m.safetensors",
        metadata={"format": "pt"},
    )
    result = run("inspect", "m.safetensors")
    assert result.exit_code == 0
    assert "1 layer, 1 array skipped" in result.stdout
    assert "c.weight" in result.stdout
    assert "dense (2-D)" in result.stdout
    record = json.loads(run("inspect", "m.safetensors", "--format", "json").stdout)
    assert record["layers"][0]["out_channels"] == 4
    assert record["skipped"][0]["name"] == "fc.weight"


def whole_process(*arguments, **options):
    command = [sys.executable, "-m", "jfilters_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_an_error_is_one_line_with_its_remedy(folder):
    result = whole_process("inspect", "nets/a.safetensor")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "did you mean a.safetensors" in result.stderr
    assert result.stdout == ""


def test_strict_and_max_bytes(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / folder / "cut.safetensors").write_bytes(b"\x00" * 7)
    stopped = fail(monkeypatch, capsys, "scan", "--checkpoints", folder, "--strict")
    assert "cut.safetensors" in stopped
    small = run("scan", "--checkpoints", folder, "--max-bytes", "100")
    assert small.exit_code == 1
    assert "3 refused" in small.stdout
