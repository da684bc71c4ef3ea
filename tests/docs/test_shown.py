"""What the walks and the README show of commands is what they print."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(script):
    return script("_shown")


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def check(pages, page: Path, folder: Path) -> int:
    """Run a page's commands in order and return how many outputs were compared."""
    compared = 0
    for command in pages.shown(page):
        if command.command.startswith("make "):  # installs, and runs this very test
            continue
        text = command.run(folder)
        if command.output:
            compared += 1
            place = f"{page.name}, line {command.line}: {command.command}"
            assert command.is_printed_in(text), f"{place}\nshows\n{command.output}\nprints\n{text}"
    return compared


@pytest.mark.slow
def test_the_walks_show_what_is_printed(pages, folder):
    assert check(pages, ROOT / "docs/walks.md", folder) >= 8


@pytest.mark.slow
def test_the_readme_shows_what_is_printed(pages, folder):
    assert check(pages, ROOT / "README.md", folder) >= 2


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(
    "CI" not in os.environ, reason="downloads the zoo of the demo; set CI to run it"
)
def test_the_pages_of_the_demo_show_what_is_printed(pages, folder):
    assert check(pages, ROOT / "docs/tour.md", folder) >= 4
    shown = [command for command in pages.shown(ROOT / "docs/drift.md") if command.output]
    assert shown
    assert all(command.is_printed_in(command.run(folder)) for command in shown)


@pytest.mark.slow
def test_the_recording_shows_what_is_printed(script):
    stored = (ROOT / "docs/images/tour.svg").read_text("utf-8")
    assert script("_recording").record() == stored
    assert "command not found" not in stored


def test_a_page_that_shows_something_else_is_noticed(pages, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ printf 'one\\n%s\\n' \\\n    2\none\n2\n$ echo three\n```\n\n"
        "  ```console\n  $ seq 9\n  1\n  ...\n  9\n  $ echo four\n  five\n  ```\n"
    )
    first, silent, elided, wrong = pages.shown(page)
    assert first.is_printed_in(first.run(tmp_path))
    assert (silent.output, silent.command) == ("", "echo three")
    assert elided.is_printed_in(elided.run(tmp_path))
    assert not elided.is_printed_in("2\n9\n")
    assert not wrong.is_printed_in(wrong.run(tmp_path))
    assert wrong.line == 14
