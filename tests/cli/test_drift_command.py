"""`jfilters drift` and `jfilters axes`: what is printed, what is written, and what is refused."""

import csv
import json

import pytest

from jfilters.scans.internal import write_scan
from tests.scans.populations import population

from .commands import fail, run


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans") / "scan"
    write_scan(population(folder, [0, 0.1, 0.1, 0.05, 1, 1.1, 0.9, 1.2]), folder)
    return folder


@pytest.fixture(scope="module")
def meta(tmp_path_factory):
    path = tmp_path_factory.mktemp("meta") / "meta.csv"
    kinds = [f"{i:02}.pt,{'near' if i < 4 else 'far'},{i % 2}" for i in range(8)]
    path.write_text("\n".join(["model,kind,odd", *kinds]), encoding="utf-8")
    return path


class TestDrift:
    def test_prints_within_80_columns_and_writes_the_matrix(self, scan, meta):
        done = run("drift", scan, "--by", "kind", "--meta", meta)
        assert done.exit_code == 0, done.output
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "shifted" in done.stdout
        rows = list(csv.reader((scan / "drift-kind.csv").read_text("utf-8").splitlines()))
        assert rows[0] == ["", "far", "near"]
        assert done.stderr.count("wrote") == 1

    @pytest.mark.parametrize(
        "variant",
        [
            ["--clean"],
            ["--balance", "models"],
            ["--metric", "kl"],
            ["--within", "kind"],
            ["--where", "depth > 0"],
        ],
    )
    def test_what_is_not_plain_drift_of_all_kernels_leaves_the_matrix(self, scan, meta, variant):
        done = run("drift", scan, "--by", "odd", "--meta", meta, *variant)
        assert done.exit_code == 0, done.output
        assert not (scan / "drift-odd.csv").exists()

    def test_says_what_was_exchanged_and_the_least_p(self, scan, meta):
        text = run("drift", scan, "--by", "kind", "--meta", meta).stdout
        assert "8 units (8 models), a unit is a model; the smallest p of a pair is 0.029" in text
        text = run("drift", scan, "--by", "kind", "--meta", meta, "--unit", "odd").stdout
        assert "2 units (8 models), a unit is one label of odd" in text
        assert "2 units against 2 can give no p below 0.5" in text

    def test_an_unknown_unit_is_one_line(self, scan, monkeypatch, capsys):
        message = fail(monkeypatch, capsys, "drift", str(scan), "--by", "model", "--unit", "famly")
        assert "expected an axis, got 'famly'" in message

    def test_file_of_pairs_and_json(self, scan, meta, tmp_path):
        out = tmp_path / "pairs.csv"
        asked = ("--by", "model", "--format", "json", "--permutations", 0)
        done = run("drift", scan, *asked, "--out", out)
        record = json.loads(done.stdout)
        assert len(record["pairs"]) == 28
        assert len(out.read_text("utf-8").splitlines()) == 29
        assert f"wrote {out}: 28 pairs" in done.stderr.replace("\n", "")
        assert record["pairs"][0]["reason"].startswith("one network against one")
        of_kinds = run(
            "drift", scan, "--by", "first_layer", "--format", "json", "--permutations", 0
        )
        (pair,) = json.loads(of_kinds.stdout)["pairs"]
        assert (pair["reason"], pair["label"]) == ("no permutations were asked for", "no test")

    def test_many_pairs_are_shortened(self, scan, monkeypatch):
        monkeypatch.setattr("jfilters.report._drift.MOST_PAIRS", 10)
        done = run("drift", scan, "--by", "layer", "--within", "model", "--permutations", 0)
        assert "and 14 smaller pairs: --out FILE writes all of them" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80

    def test_an_unknown_metric_is_one_line(self, scan, monkeypatch, capsys):
        asked = ["drift", scan, "--by", "model", "--metric", "wassertein"]
        assert "did you mean wasserstein" in fail(monkeypatch, capsys, *asked)


class TestAxes:
    def test_prints_within_80_columns(self, scan, meta):
        done = run("axes", scan, "--meta", meta)
        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()
        assert max(map(len, lines)) <= 80
        names = [line.split()[0] for line in lines[1:] if line.strip()]
        assert names.index("kind") < names.index("odd")

    def test_json_and_chosen_axes(self, scan, meta):
        asked = ("--axis", "odd", "--axis", "kind", "--format", "json")
        done = run("axes", scan, "--meta", meta, *asked)
        rows = json.loads(done.stdout)["axes"]
        assert [row["axis"] for row in rows] == ["kind", "odd"]
        assert rows[0]["p"] < 0.05 < rows[1]["p"]
