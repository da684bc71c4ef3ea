"""The findings on networks whose shifts are known: one task has kernels of its own, nothing else does."""

import csv
import functools
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters import Options
from jfilters.density import FitOptions
from jfilters.engine import scan_into
from jfilters.scans import open_scan, read_metadata
from study._csv import write_csv
from study._text import ClaimError, write_text
from study.findings import __main__ as findings
from study.findings._axes import with_holm
from study.findings._parts import Parts
from study.zoo import __main__ as real_networks

SHAPES = ((8, 2, 3, 3), (16, 8, 3, 3), (16, 16, 3, 3))
EDGE = np.outer([1, 2, 1], [1, 0, -1]).astype(np.float32)
SMALL = FitOptions(layers=1, width=8, epochs=2)


def read(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def network(rng, task, stage, shapes=SHAPES):
    edge = 1.5 * EDGE if (task, stage) == ("denoising", "trained") else 0 * EDGE
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    return {f"conv{i}.weight": weight + edge for i, weight in enumerate(weights)}


def told(name, step, **labels):
    stage = "trained" if step else "initial"
    about = {"model": f"{name}/step_{step}.safetensors", "net": name, "series": "design"}
    about |= {"visual_category": "digits", "task": "classification", "architecture": "plain"}
    about |= {"framework": "torch", "seed": 0, "width": 16, "train_size": 1280, "score": 0.9}
    return about | {"stage": stage, "progress": step / 10} | labels


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """A crossed design of 16 networks, two series beside it and two real networks, scanned."""
    folder, rng = tmp_path_factory.mktemp("population"), np.random.default_rng(0)
    rows = []
    kinds = (("digits", "glyphs"), ("classification", "denoising"), ("plain", "u-shaped"), (0, 1))
    for n, (category, task, architecture, seed) in enumerate(itertools.product(*kinds)):
        labels = {"visual_category": category, "task": task, "architecture": architecture}
        labels |= {"seed": seed, "framework": ("torch", "linen", "nnx")[n % 3]}
        rows += [told(f"net{n}", step, **labels) for step in (0, 5, 10)]
    series = (("width", width, 1280) for width in (4, 8, 32))
    sizes = (("train-size", 16, size) for size in (40, 160))
    for name, width, size in (*series, *sizes):
        labels = {"series": name, "width": width, "train_size": size}
        rows += [told(f"{name}{width}-{size}", 10, **labels)]
    for n in range(4):
        labels = {
            "visual_category": "ab"[n % 2],
            "task": "ab"[n // 2],
            "architecture": "abc"[n % 3],
        }
        rows.append(told(f"zoo/{n}", 10, series="zoo", **labels))
    for row in rows:
        row["stage"] = "between" if row["progress"] == 0.5 else row["stage"]
        file = folder / "checkpoints" / row["model"]
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(network(rng, row["task"], row["stage"]), file, metadata={"format": "pt"})
    write_csv(folder / "metadata.csv", rows)
    write_csv(folder / "hashes.csv", [{"model": "m", "kernels_sha256": "0"}])
    (folder / "study.json").write_text('{"settings": {"data": {"seed": 0}}}')
    metadata = read_metadata(folder / "metadata.csv")
    scan_into(folder / "scan", str(folder / "checkpoints"), Options(), metadata=metadata)
    return folder


@pytest.fixture(scope="module")
def written(population):
    out = population / "results"
    with pytest.MonkeyPatch.context() as patched:
        quick = functools.partial(findings.divergences, kernels=500, options=SMALL)
        patched.setattr(findings, "divergences", quick)
        patched.setattr(findings, "write_text", lambda out, template: None)
        patched.setattr("study.findings._axes.PERMUTATIONS", 200)
        patched.setattr("study.findings._series.PERMUTATIONS", 100)
        # Sixteen networks have 1,296 ways to deal the labels of a task: no p is small after correction.
        patched.setattr("study.findings._papers.ALPHA", 0.5)
        arguments = [str(population / "scan"), "--population", str(population), "--out", str(out)]
        assert findings.main(arguments) == 0
    return out


@pytest.mark.slow
class TestAxes:
    def axis(self, written, name, **chosen):
        chosen = {"population": "trained", "balance": "models", "axis": name} | chosen
        rows = read(written / "axes.csv")
        (row,) = (row for row in rows if chosen.items() <= row.items())
        return row

    def test_the_axis_that_shifts_is_found_and_no_other(self, written):
        assert float(self.axis(written, "task")["p"]) <= 0.01
        for axis in ("visual_category", "architecture", "framework", "seed", "first_layer"):
            assert float(self.axis(written, axis)["p"]) > 0.01

    def test_before_training_no_axis_shifts(self, written):
        for row in read(written / "axes.csv"):
            if row["population"] == "initial":
                assert float(row["p_holm"]) > 0.05

    def test_training_shifts(self, written):
        row = self.axis(written, "stage", population="initial and trained")
        assert 0 < float(row["debiased"]) < float(row["median"])

    def test_p_is_corrected_for_the_whole_file(self, written):
        for name in ("axes", "pairs", "trends"):
            rows = [row for row in read(written / f"{name}.csv") if row["p"]]
            smallest = min(rows, key=lambda row: float(row["p"]))
            expected = min(float(smallest["p"]) * len(rows), 1)
            assert float(smallest["p_holm"]) == pytest.approx(expected)

    def test_networks_that_differ_in_one_axis_alone(self, written):
        rows = {row["differs_in"]: row for row in read(written / "alone.csv")}
        # Sixteen networks, each with one partner along each of four axes of two values.
        assert {row["pairs"] for row in rows.values()} == {"8"}
        assert next(iter(rows)) == "task"
        assert float(rows["task"]["median"]) > 2 * float(rows["seed"]["median"])


@pytest.mark.slow
class TestTraining:
    def test_the_same_networks_before_and_after(self, written):
        rows = {row["number"]: row for row in read(written / "stages.csv")}
        entropy = rows["variance_entropy_ratio"]
        assert entropy["networks"] == "16"
        assert float(entropy["trained_mean"]) < float(entropy["initial_mean"])
        assert 8 <= int(entropy["networks_higher_after"]) + 8 <= 16

    def test_every_step_of_every_network(self, written):
        rows = read(written / "steps.csv")
        assert len(rows) == 16 * 3
        assert {row["progress"] for row in rows} == {"0.0", "0.5", "1.0"}
        assert all(float(r["drift_to_last"]) == 0 for r in rows if r["progress"] == "1.0")
        settling = read(written / "settling.csv")
        assert [row["networks"] for row in settling] == ["16"] * 3
        assert settling[-1]["settled"] == settling[-1]["moved_beyond_null"] != "0"
        assert settling[0]["settled"] == "0"

    def test_numbers_that_never_change_have_no_p(self):
        assert with_holm([{"p": None}, {"p": 0.01}], "p") == [
            {"p": None, "p_holm": None},
            {"p": 0.01, "p_holm": 0.01},
        ]


@pytest.mark.slow
def test_the_series_hold_all_else(written):
    rows = read(written / "series.csv")
    assert next(row["value"] for row in rows if row["axis"] == "width") == "4"
    widths = {row["value"] for row in rows if row["axis"] == "width"}
    sizes = {row["value"] for row in rows if row["axis"] == "train_size"}
    assert (widths, sizes) == ({"4", "8", "16", "32"}, {"40", "160", "1280"})
    means = {(row["axis"], row["value"]): row for row in read(written / "series_means.csv")}
    own = [float(r["orthogonality"]) for r in rows if (r["axis"], r["value"]) == ("width", "16")]
    assert means["width", "16"]["networks"] == str(len(own))
    assert float(means["width", "16"]["orthogonality"]) == pytest.approx(np.mean(own))


@pytest.mark.slow
def test_densities_stand_beside_drift(written):
    rows = read(written / "density.csv")
    of_axis = {row["axis"]: row for row in rows}
    assert of_axis.keys() == {
        *("visual_category", "task", "architecture", "seed", "stage", "series"),
    }
    assert float(of_axis["task"]["jeffreys"]) > float(of_axis["seed"]["jeffreys"])
    drift = next(r for r in read(written / "pairs.csv") if r["axis"] == "task")["drift"]
    assert of_axis["task"]["drift"] == drift
    assert read(written / "agreement.csv")[0]["pairs"] == str(len(rows))


@pytest.mark.slow
def test_what_was_compared_is_counted(written):
    for row in read(written / "comparisons.csv"):
        assert int(row["compared"]) == len(read(written / row["file"]))
        counts = (row["tested"], row["p_at_most_0.05"], row["p_holm_at_most_0.05"])
        compared, *less = map(int, (row["compared"], *counts))
        assert [compared, *less] == sorted([compared, *less], reverse=True)


@pytest.mark.slow
def test_findings_of_the_papers_say_where_they_come_from(written):
    for row in read(written / "papers.csv"):
        assert (written / row["file"]).is_file()
        assert row["appears"] in ("yes", "no")
        assert all(row[name] for name in ("finding", "paper", "ours", "null", "n"))
    told = {row["finding"]: row["appears"] for row in read(written / "papers.csv")}
    assert told["kernels shift along the axis task"] == "yes"
    assert told["kernels shift along the axis visual category"] == "no"
    assert told["visual categories shift kernels more than tasks do"] == "no"


@pytest.mark.slow
def test_provenance_names_versions_and_hashes(population, written):
    told = json.loads((written / "provenance.json").read_text())
    assert told["study"]["settings"]["data"] == {"seed": 0}
    assert "jax" in told["scan"]["versions"]
    assert str(population) not in json.dumps(told)
    assert (written / "hashes.csv").read_bytes() == (population / "hashes.csv").read_bytes()


def test_parts_are_disjoint(population):
    parts = Parts(open_scan(population / "scan"))
    names = [set(x.model_names) for x in (parts.trained, parts.initial, parts.zoo)]
    assert [len(x) for x in names] == [16, 16, 4]
    assert not names[0] & names[1] | names[1] & names[2] | names[0] & names[2]


TEXTS = {"study": findings.TEMPLATE, "zoo": real_networks.TEMPLATE}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_in_the_repository_is_that_of_its_tables(name, tmp_path):
    results = Path(__file__).parents[2] / "results" / name
    for table in results.glob("*.csv"):
        if not table.name.startswith("drift-"):  # of the demo's scan, which may lie there too
            shutil.copy(table, tmp_path)
    write_text(tmp_path, TEXTS[name])
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text == (results / "README.md").read_text(encoding="utf-8")
    pages = re.findall(r"\((figures/.+?|report\.html|page\.html)\)", text)
    assert pages
    assert [page for page in pages if not (results / page).is_file()] == []


class TestText:
    @pytest.fixture
    def tables(self, tmp_path):
        rows = [{"axis": "task", "p": 0.04, "n": 1234.5}, {"axis": "seed", "p": "", "n": 2}]
        write_csv(tmp_path / "axes.csv", rows)
        return tmp_path

    def text(self, tables, template):
        (tables / "template.md").write_text(template)
        write_text(tables, tables / "template.md")
        return (tables / "README.md").read_text()

    @pytest.mark.parametrize(
        ("query", "answer"),
        [
            ("axes axis=task p:.3f", "0.040"),
            ("axes axis=task n:,.0f", "1,234"),
            ("axes axis=seed p:.3f", "-"),
            ("count axes", "2"),
            ("count axes axis=seed", "1"),
            ("table axes axis p:.2f axis=task", "| axis | p |\n| --- | --- |\n| task | 0.04 |"),
            ("check axes axis=task p <= 0.05", ""),
            ("check count axes > axes axis=task p", ""),
        ],
    )
    def test_queries(self, tables, query, answer):
        assert self.text(tables, f"a {{{{{query}}}}} b") == f"a {answer} b"

    def test_a_check_of_its_own_leaves_no_gap(self, tables):
        assert self.text(tables, "a\n\n{{check 1 < 2}}\n\nb\n") == "a\n\nb\n"

    @pytest.mark.parametrize(
        ("query", "complaint"),
        [
            ("check axes axis=task p > 0.05", r"claims axes axis=task p > 0\.05.*say 0\.04"),
            ("check axes axis=task p", "expected a claim"),
            ("axes p", "expected one row and one column, found 2 and 1"),
            ("axes axis=task", "one column, found 1 and 0"),
            ("axes axis=none p", "expected one row"),
            ("pairs p", r"expected one of the tables \['axes'\], got pairs"),
            ("axes axis=task q", "axes.csv has no column q"),
            ("axes axis=task axis:.2f", "expected a number in axis, got 'task'"),
        ],
    )
    def test_what_the_tables_do_not_hold(self, tables, query, complaint):
        with pytest.raises(ClaimError, match=complaint):
            self.text(tables, f"{{{{{query}}}}}")
