"""`jfilters figures`: what is written, what is told, and the exit codes."""

import pytest

from jfilters.scans.internal import write_scan
from tests.report.figures.scans import drawable

from .commands import run


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans") / "scan"
    write_scan(drawable(folder), folder)
    return folder


def test_writes_what_is_asked_for(scan, tmp_path):
    asked = ("--only", "ridge", "--only", "basis", "--formats", "svg, png", "--by", "kind")
    done = run("figures", scan, "--to", tmp_path, *asked)
    assert done.exit_code == 0, done.output
    names = ["ridge-kind.svg", "ridge-kind.png", "basis.svg", "basis.png"]
    assert done.stdout.splitlines() == [str(tmp_path / name) for name in names]
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    assert f"wrote 4 files into {tmp_path}" in done.stderr


@pytest.mark.parametrize(("condition", "code"), [("kind == 'near'", 1), ("depth > 99", 1)])
def test_what_cannot_be_made_is_told_with_the_reason(scan, tmp_path, condition, code):
    asked = ("--only", "axis-boxes", "--only", "basis", "--formats", "svg")
    done = run("figures", scan, "--to", tmp_path, *asked, "--where", condition)
    assert done.exit_code == code
    if "near" in condition:
        assert "not made: axis-boxes: expected an axis with pairs of models" in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["basis.svg"]
    else:
        assert not list(tmp_path.iterdir())
