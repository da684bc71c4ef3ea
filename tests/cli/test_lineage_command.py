"""`jfilters lineage`: every form, what it writes, what it skips, and the exit codes."""

import csv
import io
import json
import re

import pytest
from rich.cells import cell_len

from tests.report.kin import KIN, kin_folder, kin_scan

from .commands import fail, run


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return kin_scan(tmp_path_factory.mktemp("kin"))


@pytest.fixture
def folder(tmp_path):
    return kin_folder(tmp_path / "in")


def names(*models):
    return {f"{model}.safetensors" for model in models}


def edges_of(done):
    return json.loads(done.stdout)["edges"]


def test_families_edges_and_the_alarm_as_json(scan):
    done = run("lineage", scan, "--format", "json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert [set(family) for family in answer["families"]] == [names(*KIN), names("stranger")]
    assert answer["alarm"]["pairs"] == 21
    found = {(x["parent"], x["child"], x["relation"], x["directed"]) for x in answer["edges"]}
    assert ("base.safetensors", "half.safetensors", "re-saved", True) in found
    assert ("base.safetensors", "pruned.safetensors", "pruned", True) in found
    soup = {parent for parent, child, *_ in found if child == "average.safetensors"}
    assert soup == names("left", "right")
    assert all(x["evidence"] and x["layers"] for x in answer["edges"])


def test_one_line_an_edge_as_csv(scan):
    rows = list(csv.DictReader(io.StringIO(run("lineage", scan, "--format", "csv").stdout)))
    assert len(rows) == 6
    assert {row["directed"] for row in rows} == {"true", "false"}
    assert {row["layers"] for row in rows} == {"3"}


@pytest.mark.parametrize("columns", [40, 80])
def test_the_text_fits_the_terminal(scan, columns):
    done = run("lineage", scan, columns=columns)
    lines = done.stdout.splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert lines[0] == "1 family with 6 of 7 models."
    assert "no kin found: stranger.safetensors" in done.stdout


def test_a_folder_is_scanned_and_what_is_no_checkpoint_is_skipped(folder):
    (folder / "notes.txt").write_text("no weights", "utf-8")
    done = run("lineage", folder, "--format", "json")
    assert done.exit_code == 0, done.output
    assert {x["relation"] for x in edges_of(done)} >= {"re-saved", "pruned", "soup"}
    assert [path.name for path in folder.parent.iterdir()] == ["in"]


def test_a_broken_checkpoint_is_told_and_stops_nothing(folder):
    (folder / "broken.safetensors").write_bytes(b"\x10" + bytes(7) + b"{")
    done = run("lineage", folder, "--format", "json")
    assert done.exit_code == 1
    assert "broken.safetensors: " in done.stderr
    assert len(edges_of(done)) == 6


def test_without_weights_relations_are_unknown_and_families_the_same(scan):
    done = run("lineage", scan, "--no-weights", "--format", "json")
    answer = json.loads(done.stdout)
    assert {len(family) for family in answer["families"]} == {6, 1}
    assert set(answer["unread"]) == names(*KIN)
    assert not any(edge["layers"] for edge in answer["edges"])
    assert "relations unknown" in run("lineage", scan, "--no-weights").stdout


def test_layers_of_every_edge(scan):
    lines = run("lineage", scan, "--layers").stdout.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert sum(line.startswith("conv1.weight") for line in lines) == 6
    rows = list(
        csv.DictReader(io.StringIO(run("lineage", scan, "--layers", "--format", "csv").stdout))
    )
    assert len(rows) == 18
    assert {row["layer"] for row in rows} == {"conv1.weight", "conv2.weight", "conv3.weight"}


def test_a_graph_for_graphviz(scan, tmp_path):
    done = run("lineage", scan, "--dot", tmp_path / "forest.dot", "--format", "json")
    dot = (tmp_path / "forest.dot").read_text("utf-8")
    assert dot.startswith("digraph lineage {")
    assert dot.endswith("}\n")
    assert len(re.findall(" -> ", dot)) == len(edges_of(done))
    open_directions = sum(not edge["directed"] for edge in edges_of(done))
    assert dot.count("dir=none") == open_directions > 0
    assert f"wrote {tmp_path / 'forest.dot'}" in done.stderr


def test_new_files_are_placed_among_those_of_a_scan(scan, folder):
    for path in folder.iterdir():
        if path.name not in names("half", "stranger"):
            path.unlink()
    done = run("lineage", folder, "--against", scan, "--format", "json")
    answer = json.loads(done.stdout)
    assert all(len(family) > 1 for family in answer["families"])
    assert {"half.safetensors", "half.safetensors (2)"} <= set(answer["families"][0])


def test_a_path_that_is_not_there_is_an_error(tmp_path, monkeypatch, capsys):
    assert "nowhere" in fail(monkeypatch, capsys, "lineage", tmp_path / "nowhere")
