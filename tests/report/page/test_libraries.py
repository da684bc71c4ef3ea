"""The chart libraries: bundled once, read afterwards, and never missed for want of a folder."""

from pathlib import Path

import pytest
import vl_convert

from jfilters.report.page._libraries import chart_libraries


def _no_home():
    raise RuntimeError("no home")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def snippets(cache, monkeypatch):
    """The snippets that were bundled; a bundle without the libraries, in a cache of its own."""
    bundled = []
    monkeypatch.setattr(
        vl_convert, "javascript_bundle", lambda snippet: bundled.append(snippet) or "/* é */"
    )
    return bundled


def test_they_set_what_the_page_calls(cache):
    assert "window.vegaEmbed=" in chart_libraries().replace(" ", "")


def test_they_are_bundled_once(cache, snippets):
    assert [chart_libraries() for _ in range(3)] == ["/* é */"] * 3
    assert len(snippets) == 1
    (file,) = (cache / "jfilters").iterdir()
    assert file.suffix == ".js"


def test_another_version_is_bundled_again(snippets, monkeypatch):
    chart_libraries()
    monkeypatch.setattr(vl_convert, "__version__", "0.0")
    chart_libraries()
    assert len(snippets) == 2


def test_a_file_that_is_no_text_is_bundled_again(cache, snippets):
    chart_libraries()
    (file,) = (cache / "jfilters").iterdir()
    file.write_bytes(b"\xff")
    assert chart_libraries() == "/* é */"
    assert file.read_text("utf-8") == "/* é */"


def test_without_a_folder_they_are_bundled(cache, snippets):
    cache.write_text("a file in its place")
    assert [chart_libraries() for _ in range(2)] == ["/* é */"] * 2
    assert len(snippets) == 2


def test_without_a_home_they_are_bundled(snippets, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", _no_home)
    assert chart_libraries() == "/* é */"
