"""The calibration of nulls: what it counts, and what it writes."""

import json

import numpy as np
import pytest

from benchmarks import nulls
from benchmarks._known import nulls as null_designs
from benchmarks._known import powers
from jfilters.shift import PopulationNull

from ..scans.populations import population


def test_writes_the_rates_of_the_designs_that_are_named(tmp_path):
    nulls.main(["--draws", "3", "--only", "4 v 4, small", "--out", str(tmp_path)])
    record = json.loads((tmp_path / "nulls.json").read_text("utf-8"))
    assert [row["design"] for row in record["null"]] == ["4 v 4, small v large"]
    assert record["power"] == record["sampling"] == []
    assert "| 4 v 4, small v large | 0.000 |" in (tmp_path / "nulls.md").read_text("utf-8")


def test_counts_p_up_to_five_percent(monkeypatch):
    p = iter([0.05, 0.051, 0.001, None])
    monkeypatch.setattr(
        nulls, "population_null", lambda *_, **__: PopulationNull(next(p), 0.001, True)
    )
    design = null_designs()["1 v 25"]
    assert nulls.rate("1 v 25", design, 4)["rate"] == 0.5


@pytest.mark.parametrize("designs", [null_designs, powers])
def test_designs_have_units_and_two_groups_or_more(designs):
    for name, design in designs().items():
        counts, unit, group = design(np.random.default_rng(0))
        assert len(counts) == len(unit) == len(group), name
        assert set(group.tolist()) == set(range(1 + group.max())), name
        assert group.max() >= 1, name


def test_a_shift_passes_and_one_law_does_not():
    row = nulls.rate("d", powers()["first of 18 layers, 10 models, D 0.026"], 5)
    assert row["rate"] >= 0.8


def test_labels_are_dealt_to_families(tmp_path):
    scan = population(tmp_path, np.linspace(-1, 1, 8), layers=2)
    row = nulls.dealt(scan, "auto", 3)
    assert (row["networks"], row["units"], row["draws"]) == (8, 8, 3)
