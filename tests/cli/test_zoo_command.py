"""`jfilters zoo list` and `jfilters zoo fetch`."""

import dataclasses
import json
from pathlib import Path

import pytest

from jfilters import zoo

from .commands import run


def test_list_fits_80_columns_and_names_every_checkpoint():
    done = run("zoo", "list")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for entry in zoo.entries():
        assert f"  {entry.name} " in done.stdout
        assert f"{entry.package} {entry.version} " in done.stdout
        assert f"{entry.license}, {entry.megabytes:g} MB" in done.stdout


def test_list_keeps_every_character_at_40_columns():
    done = run("zoo", "list", columns=40)
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert "…" not in done.stdout


def test_list_as_json_is_the_preset():
    done = run("zoo", "list", "--format", "json")
    assert json.loads(done.stdout) == [dataclasses.asdict(entry) for entry in zoo.entries()]


@pytest.fixture
def fetched(monkeypatch) -> list[tuple[Path, bool]]:
    """The calls of `zoo.fetch`, which downloads nothing."""
    calls = []

    def fetch(to, *, all, progress):
        calls.append((to, all))
        progress(zoo.entries()[0], "fetching")
        return zoo.entries()[:1]

    monkeypatch.setattr(zoo, "fetch", fetch)
    return calls


def test_fetch_takes_the_default_set_into_zoo(fetched):
    assert run("zoo", "fetch").exit_code == 0
    assert fetched == [(Path("zoo"), False)]


def test_fetch_passes_its_options_on(fetched):
    assert run("zoo", "fetch", "--to", "elsewhere", "--all").exit_code == 0
    assert fetched == [(Path("elsewhere"), True)]


def test_fetch_shows_package_and_license_on_stderr(fetched):
    done = run("zoo", "fetch")
    first = zoo.entries()[0]
    assert done.stdout == ""
    assert f"{first.name}  from {first.package} {first.version} ({first.license})" in done.stderr


def test_fetch_into_a_file_is_wrong_usage(tmp_path, fetched):
    (tmp_path / "file").touch()
    assert run("zoo", "fetch", "--to", str(tmp_path / "file")).exit_code == 2
    assert fetched == []
