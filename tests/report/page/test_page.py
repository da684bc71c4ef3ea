"""The page as a file: complete, inert, small, and honest about a missing package."""

import base64
import hashlib
import html
import json
import re
import sys

import pytest
from jfilters_cli._app import app
from typer.testing import CliRunner

from jfilters.errors import MissingExtraError
from jfilters.report import page_html, write_page
from jfilters.report.page import _view, page_data
from jfilters.scans import open_scan, save_bundle
from tests.scans.scans import made_scan, real_scan, save_folder

from .pages import HOSTILE, lively_scan, with_column


def data_of(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("light_bundle")
class TestHtml:
    def test_the_data_in_it_is_page_data(self, tmp_path):
        scan = lively_scan(tmp_path / "scan")
        assert data_of(page_html(scan)) == json.loads(json.dumps(page_data(scan)))

    def test_a_hostile_name_is_text(self, tmp_path):
        text = page_html(lively_scan(tmp_path / "<script>alert(2)<"))
        assert "<img src=x" not in text
        assert "<script>alert" not in text
        assert "<title>&lt;script&gt;alert(2)&lt;: jfilters report</title>" in text
        assert HOSTILE in [row[0] for row in data_of(text)["models"]["rows"]]

    def test_only_its_own_programs_may_run(self, tmp_path):
        text = page_html(lively_scan(tmp_path / "scan"))
        policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
        programs = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in programs]
        assert len(hashes) == 2
        allowed = " ".join(f"'sha256-{x}'" for x in hashes)
        assert f"script-src {allowed};" in policy
        assert policy.startswith("default-src 'none';")
        assert "http" not in policy
        assert "eval" not in policy

    def test_it_refers_to_nothing_outside(self, tmp_path):
        text = page_html(lively_scan(tmp_path / "scan"))
        links = re.findall(r"(?:src|href)=\"([^\"]*)\"", text)
        assert all(link.startswith(("#", "data:")) for link in links)
        assert "https://" not in text
        assert "@import" not in text

    def test_a_bundle_has_the_name_of_its_file(self, tmp_path):
        save_bundle(lively_scan(tmp_path / "scan"), tmp_path / "zoo.jfbundle")
        assert page_data(open_scan(tmp_path / "zoo.jfbundle"))["name"] == "zoo"

    def test_a_missing_package_is_told_with_the_remedy(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        with pytest.raises(MissingExtraError, match=r"pip install '\.\[plot\]'"):
            page_html(made_scan(tmp_path, {"a.pt": 1}))

    def test_an_error_leaves_no_file(self, tmp_path):
        with pytest.raises(ValueError, match="expected an axis"):
            write_page(lively_scan(tmp_path / "scan"), tmp_path / "page.html", by=["nothing"])
        assert list(tmp_path.iterdir()) == [tmp_path / "scan"]


def test_50_models_of_50_layers_stay_under_5_megabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(_view, "PERMUTATIONS", 0)  # the same number of bytes, in less time
    names = [f"family {i % 5}/a model of number {i}.safetensors" for i in range(50)]
    scan = made_scan(tmp_path, dict.fromkeys(names, 50))
    for k in (7, 25):
        scan = with_column(scan, f"kind {k}", lambda x, k=k: f"kind {names.index(x) % k}")
    assert len(page_html(scan).encode()) < 5_000_000


@pytest.mark.usefixtures("light_bundle")
class TestCommand:
    def test_it_writes_into_the_folder_of_the_scan(self, tmp_path):
        save_folder(lively_scan(tmp_path / "scan"))
        done = run("report", tmp_path / "scan")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr.endswith("report.html\n")
        assert data_of((tmp_path / "scan/report.html").read_text("utf-8"))["name"] == "scan"

    def test_of_a_bundle_beside_it(self, tmp_path):
        save_bundle(lively_scan(tmp_path / "scan"), tmp_path / "zoo.jfbundle")
        assert run("report", tmp_path / "zoo.jfbundle").exit_code == 0
        assert (tmp_path / "zoo.html").exists()

    def test_axes_layers_and_metadata_can_be_chosen(self, tmp_path):
        save_folder(lively_scan(tmp_path / "scan"))
        (tmp_path / "meta.csv").write_text("model,color\nplain.pt,red\ntwin.pt,blue\n")
        page = tmp_path / "page.html"
        options = ["--by", "color", "--by", "first_layer", "--where", "model != 'run/step_0.pt'"]
        done = run(
            "report", tmp_path / "scan", "-o", page, "--meta", tmp_path / "meta.csv", *options
        )
        assert done.exit_code == 0, done.stderr
        data = data_of(page.read_text("utf-8"))
        assert list(data["axes"]["tables"]) == ["color", "first_layer"]
        assert "run/step_0.pt" not in data["layers"]["models"]

    def test_open_shows_the_file(self, tmp_path, monkeypatch):
        shown = []
        monkeypatch.setattr("webbrowser.open", lambda page: shown.append(page) or True)
        monkeypatch.setenv("DISPLAY", ":0")
        save_folder(made_scan(tmp_path / "scan", {"a.pt": 1}))
        assert run("report", tmp_path / "scan", "--open").exit_code == 0
        assert shown == [(tmp_path / "scan/report.html").as_uri()]

    def test_a_missing_package_is_told_before_the_scan_is_read(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        done = run("report", tmp_path / "no scan")
        assert isinstance(done.exception, MissingExtraError)

    def test_scan_makes_it_at_once(self, tmp_path):
        real_scan(tmp_path)
        done = run("scan", "--checkpoints", tmp_path / "in", "--out", tmp_path / "out", "--report")
        assert done.exit_code == 0
        assert "report.html" in done.stderr
        assert data_of((tmp_path / "out/report.html").read_text("utf-8"))["layers"]["models"]

    def test_scan_without_kernels_says_why_there_is_none(self, tmp_path):
        real_scan(tmp_path)
        places = ["--checkpoints", tmp_path / "in", "--out", tmp_path / "none"]
        done = run("scan", *places, "--spatial", "5x5", "--report")
        assert done.exit_code == 0
        assert "no page: " in done.stderr
        assert not (tmp_path / "none/report.html").exists()

    def test_scan_tells_of_a_missing_package_before_it_starts(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "vl_convert", None)
        done = run("scan", "--checkpoints", tmp_path, "--out", tmp_path / "out", "--report")
        assert isinstance(done.exception, MissingExtraError)
        assert not (tmp_path / "out").exists()
