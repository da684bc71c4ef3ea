"""The site builds without a warning, needs no network, and tells of every public name."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("statistics", "shift", "training", "converters", "scans", "compare", "questions")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_fetches_anything_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\"\s>]+)", text)
        fetched += re.findall(r"<link\b[^>]*\brel=\"(?:stylesheet|preload|icon)\"[^>]*>", text)
        assert fetched
        assert not [target for target in fetched if "//" in target], page


def test_every_page_is_in_the_navigation(site):
    index = (site / "index.html").read_text("utf-8")
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert not {page for page in pages if f'href="{page}.html"' not in index} - {"index"}


@pytest.mark.parametrize("room", ROOMS)
def test_the_api_page_tells_of_every_public_name(site, room):
    api = (site / "api.html").read_text("utf-8")
    face = importlib.import_module(f"jfilters.{room}")
    shown = [name for name in face.__all__ if not inspect.ismodule(getattr(face, name))]
    assert not [name for name in shown if f'id="jfilters.{room}.{name}"' not in api]


def test_the_hook_reads_definitions_and_faces(script):
    hooks = script("_hooks")
    layers = dict.fromkeys(("Applied", "DepthSource", "Layer"), "jfilters.layers")
    assert hooks.names("jfilters.kernels") == {"Kernels": "jfilters.kernels"} | layers
    face = hooks.names("jfilters")
    assert face["load"] == "jfilters.converters"
    assert "statistics" not in face
    assert "::: jfilters.training.watch" in hooks.on_page_markdown(
        "<!-- room jfilters.training -->"
    )
