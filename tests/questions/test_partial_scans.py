"""Written scans with checkpoints that were read in part, and scans of versions that knew fewer columns."""

import dataclasses
import io
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from jfilters.engine import Options, scan_into
from jfilters.questions import check, nearest, quality
from jfilters.report import check_text, junit_xml, nearest_text
from jfilters.report.page._layers import layers_section
from jfilters.report.page._overview import findings
from jfilters.report.page._provenance import provenance_section, refused_section
from jfilters.report.page._view import View
from jfilters.scans import axes_of, axis_values, merge_scans, open_scan, save_bundle, where
from jfilters.scans.schema import LAYER_COLUMNS

from ..engine.unread import unread_layers
from ..scans.scans import made_scan, real_scan, save_folder

LATER = tuple(column.name for column in LAYER_COLUMNS if column.optional)
WHY = "2 of 3 layers read; not read: unknown parametrization (1)"


def with_partial(scan, model="a"):
    entries = [
        entry | ({"status": "partial", "reason": WHY} if entry["model"] == model else {})
        for entry in scan.record["checkpoints"]
    ]
    return dataclasses.replace(scan, record={**scan.record, "checkpoints": entries})


@pytest.fixture
def scan(tmp_path):
    return with_partial(made_scan(tmp_path / "one", {"a": 2, "b": 1}))


def text(renderable):
    file = io.StringIO()
    Console(file=file, width=80).print(renderable, highlight=False)
    return file.getvalue()


class TestPartial:
    def test_merging_counts_them(self, scan, tmp_path):
        other = made_scan(tmp_path / "two", {"c": 1}, seed=1)
        merged, _ = merge_scans([scan, other])
        assert (merged.record["totals"]["ok"], merged.record["totals"]["partial"]) == (2, 1)
        assert merged.partial == {"a": WHY}

    def test_a_bundle_keeps_them(self, scan, tmp_path):
        save_bundle(scan, tmp_path / "one.bundle")
        assert open_scan(tmp_path / "one.bundle").partial == {"a": WHY}

    def test_the_page_counts_and_lists_them(self, scan):
        view = View(scan)
        assert refused_section(view) == [["a", "partial", WHY]]
        assert provenance_section(view)["total"] == 2
        assert "1 with such kernels, 1 read in part" in str(findings(view)[0])

    def test_rules_name_the_models_of_them(self, scan, tmp_path):
        rules = tmp_path / "rules.toml"
        rules.write_text('[[rule]]\nname = "big"\nrequire = "n_kernels > 9"\n')
        (outcome,) = check(scan, rules)
        assert (outcome.broken, outcome.partial) == ((), {"a": WHY})
        assert "partial a: 2 of 3 layers read" in text(check_text([outcome]))
        cases = ET.fromstring(junit_xml([outcome], "r")).findall(".//testcase")
        assert [case.findtext("system-out") for case in cases] == [WHY, None]

    def test_the_networks_of_a_population_are_its_own(self, scan):
        assert scan.partial_models(["a/net", "b", "c/a"]) == {"a/net": WHY}

    def test_nearest_says_what_it_did_not_see(self, tmp_path):
        written = real_scan(tmp_path)
        with unread_layers("conv2.weight"):
            found = nearest(open_scan(written), tmp_path / "in/b.safetensors")
        ((model, why),) = found.partial.items()
        assert (model, why[:18]) == ("b.safetensors", "1 of 2 layers read")
        assert found.record()["partial"] == found.partial
        assert "1 of 2 layers read" in text(nearest_text(found, most=1, map=False))


class TestEarlierVersions:
    @pytest.fixture
    def old(self, tmp_path):
        """A folder without the later columns, one of whose names a column of metadata has."""
        scan = made_scan(tmp_path / "old", {"a": 2, "b": 1})
        save_folder(scan)
        path = scan.folder / "layers.parquet"
        table = pq.read_table(path).drop_columns(list(LATER))
        pq.write_table(table.append_column("note", [[1, 2, 3]]), path)
        return scan.folder

    def test_missing_columns_are_unknown_and_metadata_keeps_its_values(self, old):
        table = open_scan(old).layer_table
        place = table.column_names.index("depth_source")
        assert tuple(table.column_names[place + 1 : place + 4]) == LATER
        assert all(table[name].null_count == 3 for name in LATER)
        assert table["meta.note"].to_pylist() == [1, 2, 3]

    def test_every_question_takes_them(self, old, tmp_path):
        scan = open_scan(old)
        assert not where(scan, "applied == 'masked'").any()
        assert layers_section(View(scan))["columns"]["note"] == [None] * 3
        merged, _ = merge_scans([scan, made_scan(tmp_path / "new", {"c": 1}, seed=1)])
        assert merged.layer_table["applied"].to_pylist() == [None] * 3 + [None]
        save_bundle(scan, tmp_path / "old.bundle")
        assert open_scan(tmp_path / "old.bundle").layer_table.equals(scan.layer_table)


class TestUnknownGroups:
    @pytest.fixture
    def scan(self, tmp_path):
        told = {
            ("a", 0): {"groups": None, "in_channels": None, "depthwise": None},
            ("a", 1): {"groups": 2, "in_channels": 8},
        }
        return made_scan(tmp_path / "one", {"a": 3}, told=told)

    def test_their_label_is_unknown(self, scan):
        assert axis_values(scan, "depthwise").tolist() == [None, "grouped", "dense"]

    def test_random_weights_have_the_length_of_a_row(self, scan):
        rows = quality(scan).layers
        values = [row["random_orthogonality"] for row in rows]
        assert values[0] == values[1] == values[2]

    def test_a_written_scan_with_them_is_read(self, scan):
        save_folder(scan)
        assert open_scan(scan.folder).layer_table["groups"].to_pylist() == [None, 2, 1]


def test_how_weights_were_read_is_no_axis(tmp_path):
    told = {("a", 0): {"applied": "masked", "network": "ema", "note": "x"}}
    scan = made_scan(tmp_path / "one", {"a": 2, "b": 2}, told=told)
    assert not set(LATER) & set(axes_of(scan))
    assert axis_values(scan, "applied").tolist() == ["masked", None, None, None]


def test_layers_say_how_they_were_read(tmp_path):
    folder = real_scan(tmp_path)
    table = open_scan(folder).layer_table
    assert set(table["applied"].to_pylist()) == {"as stored"}
    assert table["network"].null_count == table["note"].null_count == 4
    options = Options(standardize=True)
    scan_into(tmp_path / "standard", tmp_path / "in", options)
    standard = open_scan(tmp_path / "standard")
    assert set(standard.layer_table["applied"].to_pylist()) == {"standardized"}
    assert standard.record["config"]["standardize"] is True
    l2 = np.array(standard.layer_table["l2"].to_pylist())
    np.testing.assert_allclose(l2, np.sqrt(np.array([216.0, 1152.0] * 2)), rtol=1e-5)
    found = nearest(standard, tmp_path / "in/a.safetensors")
    assert found.near["a.safetensors"][0].drift == 0
