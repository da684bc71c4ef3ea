"""Every script of examples/ runs in an empty folder, as a new user would run it, with the right answer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))

pytestmark = pytest.mark.slow


def output(name: str, folder: Path) -> str:
    """What a script prints; it fails with a warning too."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "COLUMNS": "100"}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_is_scanned(tmp_path):
    text = output("scan_a_folder", tmp_path)
    (dead,) = re.findall(r"^ *(?:\S+ +)?(conv\S+) .* all-zero$", text, re.M)
    assert dead == "conv1.weight"
    assert len(re.findall(r" healthy$", text, re.M)) == 8
    assert len(re.findall(r" random-like$", text, re.M)) == 3
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert float(rows["birds.safetensors"][1]) < 0.2 < float(rows["birds.safetensors"][3])
    assert (tmp_path / "scan/layers.parquet").exists()


def test_checkpoints_are_compared(tmp_path):
    text = output("compare_two_checkpoints", tmp_path)
    verdicts = dict(re.findall(r"^base and (\w+): (.*)$", text, re.M))
    assert verdicts == {
        "tuned": "fine-tuned",
        "pruned": "pruned",
        "half": "re-saved",
        "stranger": "trained apart",
    }


def test_training_is_watched(tmp_path):
    text = output("watch_training", tmp_path)
    drifts = [float(drift) for drift in re.findall(r"drift from the start ([\d.]+)", text)]
    assert len(drifts) == 5
    assert drifts[0] == 0 < 0.5 < drifts[-1]
    (loss,) = re.findall(r"loss ([\d.]+)", text)
    assert float(loss) < 0.05


def test_the_gate_passes_one_candidate(tmp_path):
    text = output("gate_in_ci", tmp_path)
    assert dict(re.findall(r"(good|bad): exit code (\d)", text)) == {"good": "0", "bad": "1"}
    assert "conv2.weight" in (tmp_path / "bad.xml").read_text(encoding="utf-8")


def test_groups_in_memory_are_apart(tmp_path):
    text = output("drift_in_memory", tmp_path)
    within, between = map(float, re.findall(r": (\d\.\d+)", text))
    assert 0 < within < 0.1 < 1 < between


def test_twelve_checkpoints_are_made(tmp_path):
    assert output("make_checkpoints", tmp_path) == "12 checkpoints in checkpoints\n"
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) == 12


def test_every_script_is_run_and_listed():
    code = Path(__file__).read_text(encoding="utf-8")
    assert {script.stem for script in SCRIPTS} == set(re.findall(r'output\("(\w+)"', code))
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    assert {script.name for script in SCRIPTS} == set(re.findall(r"\]\((\w+\.py)\)", page))
