"""Units of a scan: what its families, runs and columns join."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from jfilters.scans.internal import units_of

from .populations import labeled
from .scans import made_scan


def with_kin(scan, **columns):
    """The scan with families and runs of its models, one label a model."""
    table = scan.model_table
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, pa.string()))
    return dataclasses.replace(scan, model_table=table)


@pytest.fixture
def scan(tmp_path):
    return made_scan(tmp_path, {f"{name}.pt": 2 for name in "abcdef"})


@pytest.mark.parametrize(
    ("family", "run", "kind", "expected"),
    [
        ("abcdef", None, "model", [0, 1, 2, 3, 4, 5]),
        ("aacdef", None, "family", [0, 0, 1, 2, 3, 4]),
        ("abcdef", ["x", "x", None, None, "y", "y"], "run", [0, 0, 1, 2, 3, 3]),
        # A run and a family with a model in common are one unit.
        ("aacdee", [None, "x", "x", None, None, None], "family or run", [0, 0, 0, 1, 2, 2]),
        ([None] * 6, None, "model", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_families_and_runs_are_joined(scan, family, run, kind, expected):
    units = units_of(with_kin(scan, family=list(family), run=run or [None] * 6))
    assert units.kind == kind
    np.testing.assert_array_equal(units.of_model, expected)


def test_models_one_by_one(scan):
    units = units_of(with_kin(scan, family=["a"] * 6), "model")
    assert units.kind == "model"
    np.testing.assert_array_equal(units.of_model, np.arange(6))


def test_a_column_of_layers_or_models(scan):
    scan = with_kin(labeled(scan, vendor=["v", "w", "v", None, None, "w"]), run=[*"xxyyzz"])
    assert units_of(scan, "vendor").of_model.tolist() == [0, 1, 0, 2, 3, 1]
    assert units_of(scan, "run").of_model.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_scan_without_those_columns(scan):
    table = scan.model_table.drop_columns(["family", "run"])
    units = units_of(dataclasses.replace(scan, model_table=table))
    assert (units.kind, units.of_model.tolist()) == ("model", list(range(6)))


@pytest.mark.parametrize(
    ("unit", "message"),
    [("nothing", "expected an axis"), ("layer", r"expected an axis of whole models.*a\.pt")],
)
def test_what_is_no_unit(scan, unit, message):
    with pytest.raises(ValueError, match=message):
        units_of(scan, unit)
