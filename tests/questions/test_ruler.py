"""The ruler for drift: its numbers are those that were measured, from near to far."""

import json
from pathlib import Path

import pytest

from jfilters.questions.internal import RULER, ruler_text

MEASURED = Path(__file__).parents[2] / "results" / "calibration" / "ruler.json"


def test_marks_are_those_of_the_results():
    rows = json.loads(MEASURED.read_text("utf-8"))["rows"]
    assert [mark.kind for mark in RULER] == [row["kind"] for row in rows]
    for mark, row in zip(RULER, rows, strict=True):
        for name in ("median", "low", "high"):
            assert getattr(mark, name) == pytest.approx(row[name], rel=0.06, abs=1e-9)


def test_marks_rise():
    medians = [mark.median for mark in RULER]
    assert medians == sorted(medians)
    assert all(mark.low <= mark.median <= mark.high for mark in RULER)


def test_the_sentence_has_every_mark():
    assert all(mark.kind in ruler_text() for mark in RULER)
