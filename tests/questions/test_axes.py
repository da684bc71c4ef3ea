"""Axes that layers are grouped along, derived and stored, and metadata that adds some."""

import numpy as np
import pytest

from jfilters.scans import axes_of, axis_values, with_metadata

from ..scans.scans import made_scan


@pytest.fixture
def scan(tmp_path):
    told = {
        ("a", 1): {"groups": 10, "depthwise": True},
        ("a", 2): {"groups": 2},
        ("b", 0): {"format": "onnx", "depth": 4},
        ("b", 1): {"format": "onnx", "depth": 4},
        ("b", 2): {"format": "onnx", "depth": 7},
    }
    return made_scan(tmp_path, {"a": 4, "b": 3}, told=told)


def with_depths(tmp_path, depths):
    told = {("m", i): {"relative_depth": depth} for i, depth in enumerate(depths)}
    return made_scan(tmp_path, {"m": len(depths)}, told=told)


def labels(scan, axis):
    return axis_values(scan, axis).tolist()


class TestDerived:
    def test_deciles_are_closed_above_and_the_first_below_too(self, tmp_path):
        depths = [0.0, 0.1, 0.1000001, 0.2, 0.3, 0.30001, 0.7, 0.9, 0.91, 1.0, None]
        expected = ["0.0-0.1", "0.0-0.1", "0.1-0.2", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.6-0.7"]
        expected += ["0.8-0.9", "0.9-1.0", "0.9-1.0", None]
        assert labels(with_depths(tmp_path, depths), "depth_decile") == expected

    @pytest.mark.parametrize("last", [10, 20, 30, 70, 110])
    def test_an_exact_tenth_of_the_depth_never_slips_upward(self, tmp_path, last):
        tenths = [i * (last // 10) / last for i in range(1, 11)]
        expected = [f"{i / 10:.1f}-{(i + 1) / 10:.1f}" for i in range(10)]
        assert labels(with_depths(tmp_path, tenths), "depth_decile") == expected

    def test_first_layers_are_those_of_the_least_depth_in_their_model(self, scan):
        assert labels(scan, "first_layer") == ["first", *["later"] * 3, "first", "first", "later"]

    def test_depthwise_grouped_and_dense_layers(self, scan):
        assert labels(scan, "depthwise")[:4] == ["dense", "depthwise", "grouped", "dense"]


class TestStored:
    @pytest.mark.parametrize("axis", ["model", "format", "spatial", "step", "verdict", "depth"])
    def test_a_column_is_an_axis(self, scan, axis):
        values = axis_values(scan, axis)
        assert (values.dtype, values.shape) == (object, (7,))
        assert values.tolist() == scan.layer_table[axis].to_pylist()

    def test_an_unknown_axis_is_refused_with_the_nearest_and_those_there_are(self, scan):
        with pytest.raises(
            ValueError, match=r"did you mean format\? .*model, format.*first_layer.*any column"
        ):
            axis_values(scan, "fromat")

    def test_axes_of_a_scan_make_groups(self, scan):
        found = axes_of(scan)
        assert {"model", "format", "depth_decile", "first_layer", "depthwise"} <= set(found)
        constant = {"spatial", "step", "dtype", "verdict"}
        assert not set(found) & (
            constant | {"layer", "n_sparse", "sparsity", "relative_depth", "depth"}
        )

    def test_an_axis_with_a_value_a_layer_makes_none(self, tmp_path):
        told = {("m", i): {"axes": f"axes {i}"} for i in range(3)}
        assert "axes" not in axes_of(made_scan(tmp_path, {"m": 3}, told=told))


class TestMetadata:
    def test_layers_and_models_are_told_of_the_same(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,task,size\nb,seg,2\nnone,cls,1\n")
        told, joined = with_metadata(scan, tmp_path / "m.csv")
        assert labels(told, "task") == [None] * 4 + ["seg"] * 3
        assert told.model_table["size"].to_pylist() == [None, 2]
        assert (joined.unmatched_rows, joined.unmatched_models) == (("none",), ("a",))
        np.testing.assert_array_equal(told.histogram, scan.histogram)

    def test_a_second_table_replaces_and_appends(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,task,size\na,seg,2\n")
        (tmp_path / "n.csv").write_text("model,task,license\n*,cls,MIT\n")
        once, _ = with_metadata(scan, tmp_path / "m.csv")
        twice, _ = with_metadata(once, tmp_path / "n.csv")
        assert twice.layer_table.column_names == [*once.layer_table.column_names, "license"]
        assert labels(twice, "task") == ["cls"] * 7
        assert labels(twice, "size") == [2] * 4 + [None] * 3

    def test_what_the_scan_measured_is_not_replaced(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,format,first_layer\n*,mine,yes\n")
        told, _ = with_metadata(scan, tmp_path / "m.csv")
        assert labels(told, "format") == labels(scan, "format")
        assert labels(told, "first_layer") == labels(scan, "first_layer")
        assert labels(told, "meta.format") == ["mine"] * 7

    def test_values_of_several_types_become_text(self, scan, tmp_path):
        (tmp_path / "m.toml").write_text("[a]\nx = 1\n[b]\nx = 'one'\n")
        told, _ = with_metadata(scan, tmp_path / "m.toml")
        assert labels(told, "x") == ["1"] * 4 + ["one"] * 3
