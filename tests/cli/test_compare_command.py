"""`jfilters compare`: verdicts on the terminal, as JSON, and what is refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from .commands import fail, run


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A network, the same as float16, one pruned, a stranger of its shape, and one of another."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    net, other = (rng.standard_normal((16, 8, 3, 3)).astype(np.float32) for _ in range(2))
    weights = {
        "net": net,
        "half": net.astype(np.float16),
        "pruned": np.where(np.abs(net) < 0.5, np.float32(0), net),
        "other": other,
        "small": other[:4, :3],
    }
    for name, weight in weights.items():
        stored = {"conv.weight": np.ascontiguousarray(weight)}
        save_file(stored, f"{name}.safetensors", metadata={"format": "pt"})
    return [f"{name}.safetensors" for name in weights]


def test_a_pair(files):
    done = run("compare", *files[:2])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "1 net.safetensors (safetensors): 1 layer, 128 kernels" in done.stdout
    assert "1 and 2: re-saved" in done.stdout
    assert "stored in another way: dtype" in done.stdout


@pytest.mark.parametrize("count", [3, 5])
def test_many_within_80_columns(files, count):
    done = run("compare", *files[:count], "--layers")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout
    for verdict in ("1 and 2: re-saved", "3 pruned from 1", "3 pruned from 2"):
        assert verdict in done.stdout
    if count == 5:
        assert "1 and 4: same architecture, trained apart" in done.stdout
        assert "1 and 5: unrelated" in done.stdout
        assert "of the same name, but" in done.stdout


def test_the_direction_does_not_depend_on_the_order(files):
    assert "1 pruned from 2" in run("compare", files[2], files[0]).stdout


def test_json(files):
    done = run("compare", *files[:3], "--format", "json")
    found = json.loads(done.stdout)
    assert [pair["verdict"] for pair in found] == ["re-saved", "pruned", "pruned"]
    assert [pair["source"] for pair in found] == [None, 0, 0]
    layer = found[0]["layers"][0]
    assert layer["matched_by"] == "name"
    assert layer["rounding"] == "float16"
    assert layer["drift"] < layer["null_mean"]
    assert {layer["verdict_first"], layer["verdict_second"]} == {"random-like"}
    assert "drift" not in found[2]["layers"][0]


def test_the_caveat_goes_with_the_verdict(files):
    net = load_file(files[0])["conv.weight"]
    step = 0.1 * np.random.default_rng(1).standard_normal(net.shape).astype(np.float32)
    save_file({"conv.weight": net + step}, "next.safetensors", metadata={"format": "pt"})
    text = " ".join(run("compare", files[0], "next.safetensors").stdout.split())
    assert "1 and 2: fine-tuned from one another, or both from one start" in text
    assert "caveat: two trainings from one initialization" in text
    table = run("compare", files[0], "next.safetensors", "--format", "csv").stdout
    assert "caveat: two trainings from one initialization" in table
    matrix = run("compare", files[0], files[1], "next.safetensors").stdout
    assert "fine-tuned, or siblings" in matrix


def test_channels_and_transformations_are_in_the_table_of_layers(files):
    net = load_file(files[0])["conv.weight"]
    for name, weight in (("cut", net[2:]), ("turned", net[..., ::-1, ::-1])):
        stored = {"conv.weight": np.ascontiguousarray(weight)}
        save_file(stored, f"{name}.safetensors", metadata={"format": "pt"})
    done = run("compare", files[0], "cut.safetensors", "turned.safetensors", "--layers")
    text = " ".join(done.stdout.split())
    assert "2 pruned by channels from 1" in text
    assert "14 of 16 output" in text
    assert "1 and 3: related, transformed" in text
    assert "turned by 180" in text
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_axes_are_passed_on(tmp_path):
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", x=np.ones((3, 3, 3, 3), np.float32))
    done = run(
        "compare", tmp_path / "a.npz", tmp_path / "b.npz", "--axes", "HWIO", "--format", "json"
    )
    assert json.loads(done.stdout)[0]["verdict"] == "identical"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["net.safetensors"], "or a folder of them; got one file"),
        (["net.safetensors", "nett.safetensors"], "did you mean net.safetensors"),
    ],
)
def test_what_cannot_be_done_is_one_line(files, monkeypatch, capsys, arguments, reason):
    assert reason in fail(monkeypatch, capsys, "compare", *arguments)


def test_a_folder_by_family_and_a_broken_file_sets_the_code(files, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / files[0]).read_bytes()[:500])
    (tmp_path / "notes.txt").write_text("hello")
    done = run("compare", tmp_path)
    assert done.exit_code == 1
    assert "1 family, 2 checkpoints without kin" in done.stdout
    assert "pruned.safetensors pruned from net.safetensors" in " ".join(done.stdout.split())
    assert "cut.safetensors" in done.stderr
    assert "1 file ignored: no checkpoint" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
