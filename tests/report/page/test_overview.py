"""The findings in words, against the analysis that they tell of."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from jfilters.questions import axes_table, drift_between
from jfilters.report.page._overview import findings
from jfilters.report.page._view import View
from tests.scans.scans import made_scan

from .pages import HOSTILE, lively_scan, with_column


@pytest.fixture
def scan(tmp_path):
    return lively_scan(tmp_path / "scan")


def plain(parts):
    return "".join(part if isinstance(part, str) else part[0] for part in parts)


def told(scan, by=()):
    """The sentence of each finding, and after it those that support it, as text."""
    return {
        found["title"]: " ".join(map(plain, [found["text"], *found["why"]]))
        for found in findings(View(scan, by))
    }


@pytest.mark.parametrize("name", ["a.pt", "a long name with words/" * 9 + "x.pt"])
def test_no_sentence_is_longer_than_25_words(scan, name):
    model = pa.array([name if x == HOSTILE else x for x in scan.layer_table["model"].to_pylist()])
    place = scan.layer_table.column_names.index("layer")
    scan = dataclasses.replace(scan, layer_table=scan.layer_table.set_column(place, "layer", model))
    for found in findings(View(scan)):
        for parts in (found["text"], *found["why"]):
            text = "".join(part if isinstance(part, str) else "name" for part in parts)
            assert len(text.split()) <= 25, text


def test_what_was_scanned(scan):
    text = told(scan)["Scanned"]
    assert text.startswith("5 models with 15 layers and 300,000 3x3 kernels.")
    assert text.endswith("6 checkpoints in all: 5 with such kernels, 1 refused.")


def test_a_part_of_the_scan_says_so(scan):
    mask = np.arange(15) < 7
    text = told(scan.only(mask))["Scanned"]
    assert "7 layers and 140,000 3x3 kernels. The scan has 15 layers in all." in text


def test_degenerate_layers_worst_first_with_their_reasons(scan):
    text = told(scan)["Health"]
    assert text.startswith("2 of 15 layers are bad (13%). The worst is conv2.weight of plain.pt.")
    assert text.index("conv2.weight of plain.pt") < text.index(f"conv0.weight of {HOSTILE}")
    assert "variance entropy 0.960 reaches 0.954" in text
    assert text.endswith("Of all layers, 1 are collapsed, 1 are random-like, 13 are healthy.")


def test_no_degenerate_layer(tmp_path):
    text = told(made_scan(tmp_path, {"a.pt": 2, "b.pt": 1}))["Health"]
    assert text.startswith("None of 3 layers is bad.")


def test_closest_and_furthest_models_with_n_and_null(scan):
    found = told(scan)
    pairs = drift_between(scan, "model", replicates=50).pairs
    pairs = sorted((x for x in pairs if not x.is_of_few_kernels), key=lambda pair: pair.value)
    for title, pair in (("Closest models", pairs[0]), ("Furthest models", pairs[-1])):
        text = found[title]
        assert text.startswith(f"{pair.first} and {pair.second}: D = {pair.value:.3g} nats")
        assert f"95 % quantile of the sampling null is {pair.sampling_null.quantile95:.2g}" in text
        assert f"n = {pair.first_size.kernels:,} and {pair.second_size.kernels:,} kernels" in text
    assert "plain.pt and twin.pt" in found["Closest models"]
    assert found["Closest models"].endswith(
        "One run against one: there is no other way to split them."
    )
    assert found["Furthest models"].endswith(
        "One run only: its parts cannot tell what others would show."
    )


def test_pairs_of_too_few_kernels_are_counted_and_not_named(tmp_path):
    found = told(made_scan(tmp_path, {"a.pt": 1, "b.pt": 1, "c.pt": 1}))
    assert found["Models"].endswith("3 pairs have too few kernels.")
    assert "Closest models" not in found


def test_the_axis_that_shifts_most_and_whether_it_is_beyond_its_null(scan):
    rows = [row for row in axes_table(scan).axes if row.axis not in ("model", "verdict")]
    text = told(scan)["Axes"]
    assert text.startswith(f"Of {len(rows)} axes, {rows[0].axis} has the largest drift")
    assert f"median D = {rows[0].median:.3g} nats between its {rows[0].groups} groups" in text
    label = "more than" if rows[0].p <= 0.05 else "not more than"
    assert f"That is {label} under labels permuted among 4 units (4 models)" in text
    assert f"p = {rows[0].p:.2g}" in text


def test_an_axis_that_cannot_be_permuted_is_not_tested(tmp_path):
    scan = made_scan(tmp_path, {f"m{i}.pt": 6 for i in range(3)})
    scan = with_column(scan, "kind", lambda model: f"kind {model}")
    text = told(scan, ("kind",))["Axes"]
    assert text.startswith("Of 1 axis, kind has the largest drift")
    assert "It has no p: one network against one: there is no other way to split them" in text


def test_one_model(tmp_path):
    found = told(made_scan(tmp_path, {"a.pt": 1}))
    assert "one model" in found["Models"]
    assert "Axes" not in found


def test_a_scan_without_quality_claims_no_health(scan):
    config = scan.record["config"] | {"quality": False}
    found = told(dataclasses.replace(scan, record=scan.record | {"config": config}))
    assert "measured no quality" in found["Health"]
    assert "Sparsity" not in found


def test_sparse_kernels_and_structure_have_their_null(scan):
    found = told(scan)
    assert "of 300,000 kernels" in found["Sparsity"]
    assert "of kernels without structure each would carry 11%" in found["Structure"]


def test_every_finding_leads_to_a_section(scan):
    sections = {"refused", "quality", "drift", "basis", "models", "layers"}
    assert {found["to"] for found in findings(View(scan))} <= sections
