"""Kin of a checkpoint among the models of a scan: marked with their cosine, and nothing for strangers."""

import csv
import io

import numpy as np
import pytest
from jfilters_cli._app import app
from safetensors.numpy import save_file
from typer.testing import CliRunner

from jfilters.questions import _nearest, nearest
from jfilters.report import nearest_text
from jfilters.scans import open_scan, save_bundle
from tests.report.kin import KIN, kin_scan, network, tuned
from tests.report.pages import shown
from tests.scans.scans import replaced


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return kin_scan(tmp_path_factory.mktemp("kin"))


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    """A checkpoint that was trained onward from the base of the scan."""
    file = tmp_path_factory.mktemp("child") / "child.safetensors"
    save_file(tuned(network(0), 7), file, {"format": "pt"})
    return file


@pytest.fixture
def scan(folder):
    return open_scan(folder)


def kin_of(answer):
    (near,) = answer.near.values()
    return {model.model: model.kin for model in near}


def test_kin_have_their_cosine_and_strangers_nothing(scan, child):
    kin = kin_of(nearest(scan, child))
    assert {name for name, cosine in kin.items() if cosine is not None} == {
        f"{name}.safetensors" for name in KIN
    }
    assert kin["stranger.safetensors"] is None
    base, child_weights = network(0), tuned(network(0), 7)
    cosines = [cosine(base[name], child_weights[name]) for name in base]
    assert kin["base.safetensors"] == pytest.approx(np.mean(cosines), abs=0.03)


def cosine(a, b):
    a, b = (x.reshape(-1, 9) / np.linalg.norm(x.reshape(-1, 9), axis=1)[:, None] for x in (a, b))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


def test_a_stranger_has_no_kin(scan, tmp_path):
    save_file(network(77), tmp_path / "other.safetensors", {"format": "pt"})
    answer = nearest(scan, tmp_path / "other.safetensors")
    assert set(kin_of(answer).values()) == {None}
    assert "kin" not in shown(nearest_text(answer, most=10, map=False), 80)


def test_a_bundle_is_placed_by_its_sketches(scan, tmp_path):
    save_bundle(scan, tmp_path / "bundle.safetensors")
    answer = nearest(scan, tmp_path / "bundle.safetensors")
    for query, near in answer.near.items():
        (same,) = [model.kin for model in near if model.model == query]
        assert same == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("missing", ["scan", "query"])
def test_without_sketches_kin_are_not_known(scan, folder, child, missing, tmp_path):
    names = [name for name in scan.arrays if name.startswith(("sketch", "kernel_hash"))]
    bare = replaced(scan, **dict.fromkeys(names))
    if missing == "scan":
        answer = nearest(bare, child)
    else:
        save_bundle(bare, tmp_path / "bare.safetensors")
        answer = nearest(scan, tmp_path / "bare.safetensors")
    assert {model.kin for near in answer.near.values() for model in near} == {None}


def test_of_too_many_models_kin_are_not_known(scan, child, monkeypatch):
    monkeypatch.setattr(_nearest, "MOST_COMPARED", 7)
    assert set(kin_of(nearest(scan, child)).values()) == {None}


def test_every_form_has_them(folder, child):
    def run(*options):
        done = CliRunner(env={"COLUMNS": "80"}).invoke(
            app, ["nearest", str(folder), str(child), *options]
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    rows = list(csv.DictReader(io.StringIO(run("--format", "csv"))))
    assert {row["model"] for row in rows if row["kin"] == ""} == {"stranger.safetensors"}
    assert run("--format", "json").count('"kin": null') == 1
    lines = run("--most", "7").splitlines()
    assert lines[0].split()[-1] == "kin"
    (line,) = [x for x in lines if "base.safetensors" in x]
    assert float(line.split()[-1]) == pytest.approx(0.98, abs=0.02)
    assert "kin: mean cosine" in run("--most", "7")


def test_kin_that_are_further_away_are_named(scan, child):
    text = shown(nearest_text(nearest(scan, child), most=1, map=False), 80)
    assert text.count("kin that are further away: ") == 1
    assert max(map(len, text.splitlines())) <= 80
