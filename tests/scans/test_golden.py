"""The golden scan: what version 0.1 wrote is opened, and gives the answers that it gave then.

But for the rules of verdicts and of runs, which changed: quality.json is what the same scan gives now, and
trajectory.json lacks two runs that were none.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jfilters.scans import open_scan
from jfilters.scans.schema import LAYERS, MODELS

from .scans import same

GOLDEN = Path(__file__).parent / "golden"

NAMES = {"because": "reason", "word": "label", "rows": "axes"}
"""Keys of the answers of version 0.1 that have another name now."""

LABELS = {"within chance": "within null"}

QUESTIONS = {
    "drift": lambda scan: scan.drift(by="task"),
    "quality": lambda scan: scan.quality(),
    "axes": lambda scan: scan.axes(),
    "trajectory": lambda scan: scan.trajectory(),
    "check": lambda scan: scan.check(GOLDEN / "rules.toml"),
    "phenotypes": lambda scan: scan.phenotypes(),
}
FROM_A_BUNDLE = [name for name in QUESTIONS if name != "phenotypes"]  # it has no sample


@pytest.fixture(scope="module")
def scan():
    return open_scan(GOLDEN / "scan")


@pytest.fixture(scope="module")
def bundle():
    return open_scan(GOLDEN / "scan.card")


NULLS = {
    *("null", "chance", "p", "p_adjusted", "smallest_p", "label", "word", "reason", "because"),
    *("settled", "small", "mean", "maximum", "furthest", "axes", "rows"),
}
"""Keys of answers about drift that rest on nulls, which are others than those of version 0.1."""


def expected_of(question):
    """The answer of version 0.1 under the names of today, without what rests on its nulls."""
    record = json.loads((GOLDEN / f"{question}.json").read_text("utf-8"))
    if question in ("drift", "axes", "trajectory"):
        record = without_nulls(record)
    return renamed(record, NAMES)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(x) for key, x in value.items() if key not in NULLS}
    return [without_nulls(x) for x in value] if isinstance(value, list) else value


def renamed(value, names):
    if isinstance(value, dict):
        return {names.get(key, key): renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    return LABELS.get(value, value) if isinstance(value, str) else value


def assert_same(actual, expected, place=""):
    """Equal but for the last digits of numbers and for the wording of reasons."""
    if isinstance(expected, dict):
        # An answer of today has further keys: it tells more.
        assert set(actual) >= set(expected), place
        for key, value in expected.items():
            assert_same(actual[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), place
        for i, (first, second) in enumerate(zip(actual, expected, strict=True)):
            assert_same(first, second, f"{place}[{i}]")
    elif isinstance(expected, float):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, err_msg=place)
    elif place.endswith(".reason"):
        assert (actual is None) == (expected is None), place
    else:
        assert actual == expected, place


def as_json(answer):
    return json.loads(json.dumps(answer.record()))


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_answers_as_it_did(scan, question):
    assert_same(as_json(QUESTIONS[question](scan)), expected_of(question))


@pytest.mark.parametrize("question", FROM_A_BUNDLE)
def test_the_bundle_answers_as_the_folder_did(bundle, question):
    assert_same(as_json(QUESTIONS[question](bundle)), expected_of(question))


def test_a_number_that_moves_is_seen():
    expected = expected_of("drift")
    moved = json.loads(json.dumps(expected))
    moved["pairs"][0]["value"] *= 1 + 1e-8
    with pytest.raises(AssertionError, match=r"pairs\[0\]\.value"):
        assert_same(moved, expected)


@pytest.mark.parametrize("name", ["layers", "models"])
def test_its_tables_have_the_columns_of_the_schema(scan, bundle, name):
    schema = {"layers": LAYERS, "models": MODELS}[name]
    stored = pq.read_table(GOLDEN / f"scan/{name}.parquet")
    for opened in (scan, bundle):
        table = {"layers": opened.layer_table, "models": opened.model_table}[name]
        assert table.column_names[: len(schema)] == schema.names
        assert table.select(schema.names).schema.types == schema.types
        for column in stored.column_names:
            assert table[NAMES.get(column, column)].to_pylist() == stored[column].to_pylist()


def test_reasons_of_verdicts_keep_their_text(scan):
    reasons = pq.read_table(GOLDEN / "scan/layers.parquet")["because"].to_pylist()
    assert scan.layer_table["reason"].to_pylist() == reasons
    assert any(reasons)
    assert "because" not in scan.layer_table.column_names


def test_its_matrix_is_the_drift_between_its_models(scan, tmp_path):
    scan.save(tmp_path / "again")
    before, after = (
        [line.split(",") for line in (folder / "drift-model.csv").read_text("utf-8").splitlines()]
        for folder in (GOLDEN / "scan", tmp_path / "again")
    )
    assert [row[0] for row in after] == [row[0] for row in before]
    assert after[0] == before[0]
    numbers = [[[float(cell) for cell in row[1:]] for row in x[1:]] for x in (after, before)]
    np.testing.assert_allclose(*numbers, rtol=1e-9, atol=1e-15)


def test_saved_again_it_is_the_same_scan(scan, tmp_path):
    scan.save(tmp_path / "again")
    again = open_scan(tmp_path / "again")
    assert same(again, scan)
    assert_same(as_json(again.drift(by="task")), expected_of("drift"))
