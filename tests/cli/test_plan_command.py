"""`jfilters scan --plan`: who of a job would read what, with the variables of any launcher."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from .commands import fail, run

POD = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "2"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for n in (1, 2, 3, 4):
        weights = np.random.default_rng(n).normal(size=(8 * n, 16, 3, 3)).astype(np.float32)
        save_file({"conv.weight": weights}, tmp_path / f"in/{n}.safetensors", {"format": "pt"})
    (tmp_path / "in/notes.txt").write_text("text")
    return tmp_path / "in"


def plan(folder, *options):
    result = run(
        "scan", "--checkpoints", folder, "--out", folder.parent / "out", "--plan", *options
    )
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_number_of_processes_is_enough(folder):
    text = plan(folder, "--num-processes", 2)
    assert "the command line, 2 processes: 4 checkpoints" in text
    assert "ignored, no checkpoint: 1" in text
    assert "notes.txt" in text
    assert not (folder.parent / "out").exists()


def test_the_shares_are_those_that_the_scan_reads(folder):
    record = json.loads(plan(folder, "--num-processes", 2, "--format", "json", "--rate", "0.001"))
    models = [share["models"] for share in record["shares"]]
    assert models == [["1.safetensors", "4.safetensors"], ["2.safetensors", "3.safetensors"]]
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    for share in record["shares"]:
        assert share["bytes"] == sum(sizes[name] for name in share["models"])
        assert share["minutes"] == round(share["bytes"] / 1e3 / 60, 3)
    rows = list(csv.DictReader(io.StringIO(plan(folder, "--num-processes", 2, "--format", "csv"))))
    assert [row["process"] for row in rows] == ["0", "1"]


def test_the_launcher_is_named(folder, monkeypatch):
    for name, value in POD.items():
        monkeypatch.setenv(name, value)
    assert "GKE TPU, 4 hosts: 4 checkpoints" in plan(folder)
    monkeypatch.setenv("TPU_WORKER_ID", "7")
    scan = ("scan", "--checkpoints", folder, "--plan")
    assert "host 7 of 4" in str(run(*scan).exception)


def test_what_the_cache_holds_and_what_is_too_large_is_not_read(folder):
    out = folder.parent / "out"
    assert run("scan", "--checkpoints", folder, "--out", out).exit_code == 0
    limit = (folder / "3.safetensors").stat().st_size
    record = json.loads(plan(folder, "--max-bytes", limit, "--format", "json"))
    assert record["too_large"] == ["4.safetensors"]
    assert record["totals"]["cached"] == record["totals"]["checkpoints"] == 3
    assert record["minutes"] == 0
    record = json.loads(plan(folder, "--spatial", "5x5", "--format", "json"))
    assert record["totals"]["cached"] == 0


def test_a_plan_that_cannot_be_made_is_a_usage_error(folder, monkeypatch, capsys):
    scan = ("scan", "--plan", "--checkpoints")
    assert "no such file or folder" in fail(monkeypatch, capsys, *scan, folder / "nowhere")
    assert run("scan", "--checkpoints", folder, "--rate", 5).exit_code == 2
    assert run(*scan, folder, "--engine", "ray").exit_code == 2


def test_a_plan_imports_no_compiler_and_starts_no_job(folder):
    code = (
        "import sys; from jfilters_cli._app import main\n"
        "try: main()\nexcept SystemExit as leaving: assert not leaving.code\n"
        "print(sorted({'jax', 'jaxlib'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, "scan", "--plan", "--checkpoints", str(folder)]
    done = subprocess.run(
        command,
        env=os.environ | POD,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
