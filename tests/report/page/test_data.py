"""What the page carries, against the analysis that it comes from."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.errors import CheckpointError
from jfilters.questions import axes_table, drift_between, phenotypes, quality, trajectories
from jfilters.report.page import _axes, _sample
from jfilters.report.page._axes import axes_section
from jfilters.report.page._densities import densities_section
from jfilters.report.page._layers import layers_section, quality_section
from jfilters.report.page._models import models_section
from jfilters.report.page._pack import as_script_data, packed, rounded
from jfilters.report.page._provenance import provenance_section, refused_section
from jfilters.report.page._sample import MOST_BYTES, TILES, points_section, tiles_section
from jfilters.report.page._trajectories import trajectories_section
from jfilters.report.page._view import MOST_AXES, MOST_GROUPS, View
from jfilters.scans import group_layers
from jfilters.statistics import normalize, project
from tests.scans.scans import BINS, D, made_scan, replaced

from .pages import KERNELS, SIZES, TASKS, lively_scan, save_densities, unpacked, with_column


@pytest.fixture
def scan(tmp_path):
    return lively_scan(tmp_path / "scan")


class TestAxes:
    def test_pairs_are_those_of_drift_between_in_their_order(self, scan):
        table = axes_section(View(scan))["tables"]["model"]
        expected = drift_between(scan, "model", permutations=400, replicates=50)
        pairs = table["pairs"]
        assert table["labels"] == list(expected.labels)
        assert pairs["value"] == [rounded(pair.value) for pair in expected.pairs]
        nulls = [pair.sampling_null.quantile95 for pair in expected.pairs]
        assert pairs["sampling_95"] == list(map(rounded, nulls))
        assert pairs["debiased"] == [rounded(pair.debiased) for pair in expected.pairs]
        assert pairs["reason"] == [pair.reason for pair in expected.pairs]
        assert pairs["label"] == [pair.label for pair in expected.pairs]
        assert set(pairs["label"]) == {"no test"}
        shares = np.array([pair.shares for pair in expected.pairs])
        parts = unpacked(pairs["parts"], "u2").reshape(shares.shape) / 65535
        np.testing.assert_allclose(parts, shares / shares.sum(axis=1, keepdims=True), atol=1e-5)

    def test_places_of_pairs_are_those_that_the_page_counts(self, scan):
        table = drift_between(scan, "model", permutations=0, replicates=0)
        for j in range(len(table.labels)):
            for i in range(j):
                pair = table.pairs[j * (j - 1) // 2 + i]
                assert (pair.first, pair.second) == (table.labels[i], table.labels[j])

    def test_densities_integrate_to_one_and_are_the_histograms(self, scan):
        found = axes_section(View(scan))
        table, edges = found["tables"]["task"], np.array(found["edges"])
        peaks = np.array(table["peaks"])[:, None]
        density = unpacked(table["density"], "u2").reshape(2, D, BINS) / 65535 * peaks
        np.testing.assert_allclose(density.sum(axis=-1) * np.diff(edges)[0], 1, atol=5e-3)
        counts = scan.histogram[group_layers(scan, "task").groups[1].layers].sum(axis=0)
        expected = counts / counts.sum(axis=-1, keepdims=True) / np.diff(scan.edges)
        np.testing.assert_allclose(density[1], expected, atol=1e-3)

    def test_of_a_large_kernel_the_first_components_are_shown(self, scan, monkeypatch):
        monkeypatch.setattr(_axes, "MOST_COMPONENTS", 4)
        found = axes_section(View(scan, ("task",)))
        assert found["components"] == len(found["tables"]["task"]["peaks"]) == 4
        assert len(unpacked(found["tables"]["task"]["density"], "u2")) == 2 * 4 * BINS
        parts = unpacked(found["tables"]["task"]["pairs"]["parts"], "u2")
        assert parts.shape == (4,)

    def test_every_layer_has_the_place_of_its_group_or_255(self, scan):
        table = axes_section(View(scan))["tables"]["task"]
        places = unpacked(table["of_layer"], "u1")
        assert places.tolist() == [0] * 7 + [1] * 6 + [255] * 2
        assert (table["labels"], table["unknown"]) == (["detection", "other"], 2)

    def test_phenotypes_are_those_of_the_analysis(self, scan):
        table = axes_section(View(scan))["tables"]["model"]
        rows = phenotypes(scan, "model").groups
        assert [found[0] for found in table["phenotypes"]] == [row.phenotype.label for row in rows]
        assert [found[2] for found in table["phenotypes"]] == [row.kernels for row in rows]

    def test_the_ranking_is_that_of_jfilters_axes(self, scan):
        ranking = axes_section(View(scan))["ranking"]
        expected = axes_table(scan, permutations=400)
        told = {row.axis: rounded(row.median) for row in expected.axes}
        assert {row["axis"]: row["median"] for row in ranking["rows"]} == told
        assert "verdict" in ranking["left_out"]

    def test_of_many_groups_the_largest_are_shown_and_it_is_told(self, tmp_path):
        sizes = {f"m{i}.pt": 1 + i % 2 for i in range(MOST_GROUPS + 10)}
        table = axes_section(View(made_scan(tmp_path, sizes)))["tables"]["model"]
        assert (len(table["labels"]), table["groups"]) == (MOST_GROUPS, MOST_GROUPS + 10)
        assert {f"m{i}.pt" for i in range(1, MOST_GROUPS + 10, 2)} <= set(table["labels"])

    def test_axes_of_the_same_groups_are_compared_once(self, scan):
        view = View(
            with_column(scan, "again", lambda model: TASKS.get(model) and f"x {TASKS[model]}")
        )
        assert view.same_groups == {"again": "task"}
        assert "again" not in axes_section(view)["tables"]

    def test_axes_beyond_the_most_are_named(self, scan):
        names = sorted(SIZES)
        for k in range(2, 26):  # every k another way to split five models
            scan = with_column(scan, f"a{k}", lambda x, k=k: str(k >> names.index(x) & 1))
        view = View(scan)
        assert len(view.axes) == MOST_AXES
        assert len(view.left_out) > 0
        assert not set(view.left_out) & {*view.axes, *view.same_groups}

    def test_named_axes_are_compared_alone_and_tested_more(self, scan):
        assert list(axes_section(View(scan, ("task",)))["tables"]) == ["task"]
        assert View(scan, ("task",)).permutations > View(scan).permutations

    @pytest.mark.parametrize("axis", ["tasks", "format"])
    def test_a_named_axis_without_groups_is_an_error(self, scan, axis):
        with pytest.raises(ValueError, match="expected"):
            axes_section(View(scan, (axis,)))

    def test_nothing_to_compare_is_none(self, tmp_path):
        assert axes_section(View(made_scan(tmp_path, {"a.pt": 1}))) is None


class TestSample:
    def test_tiles_are_the_kernels_scaled_to_themselves(self, scan):
        found = tiles_section(View(scan))
        is_first = np.array(scan.layer_table["depth"].to_pylist()) == 0
        # Of first layers all that were sampled.
        assert found["counts"] == [*np.where(is_first, 300, TILES)[:14], 0]
        assert found["sampled"] == [300] * 14 + [0]
        taps = (unpacked(found["taps"], "u1").reshape(-1, D).astype(float) - 128) / 127
        assert is_first[0]
        assert not is_first[1]
        second = scan.sample[300 : 300 + TILES]
        expected = second / np.abs(second).max(axis=1, keepdims=True)
        np.testing.assert_allclose(taps[300 : 300 + TILES], expected, atol=0.005)

    def test_peaks_are_shares_of_the_largest_weight_of_the_layer(self, scan):
        sample = scan.sample / np.abs(scan.sample).max(axis=1, keepdims=True) * 0.25
        layers = scan.layer_table.set_column(
            scan.layer_table.column_names.index("max_abs"), "max_abs", [[1.0] * 15]
        )
        found = tiles_section(
            View(dataclasses.replace(replaced(scan, sample=sample), layer_table=layers))
        )
        peaks = (unpacked(found["peaks"], "u1") / 255) ** 2
        np.testing.assert_allclose(peaks, 0.25, atol=0.005)

    def test_many_layers_share_the_bytes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_sample, "MOST_BYTES", 1_000_000)
        made = made_scan(tmp_path, {f"m{i}.pt": 50 for i in range(50)})
        layer = np.repeat(np.arange(2500), 100)
        sample = np.ones((len(layer), D), np.float32)
        found = tiles_section(View(replaced(made, sample=sample, sample_layer=layer)))
        assert len(found["taps"]) + len(found["peaks"]) <= 1_000_000 * 4 / 3 + 8
        assert min(found["counts"]) == max(found["counts"]) > 30

    def test_every_layer_of_many_has_its_tiles(self, tmp_path):
        made = made_scan(tmp_path, {f"m{i}.pt": 50 for i in range(50)})
        layer = np.repeat(np.arange(2500), 100)
        sample = np.ones((len(layer), D), np.float32)
        found = tiles_section(View(replaced(made, sample=sample, sample_layer=layer)))
        assert len(found["taps"]) + len(found["peaks"]) <= MOST_BYTES * 4 / 3 + 8
        assert found["counts"] == [100, *[TILES] * 49] * 50

    def test_the_plane_holds_kernels_that_were_drawn_evenly(self, scan):
        is_even = np.arange(len(scan.sample)) % 3 == 0
        found = points_section(View(replaced(scan, **{"sample.is_even": is_even})))
        assert sum(found["counts"]) == is_even.sum()

    def test_points_are_coefficients_in_the_basis(self, scan):
        scan = replaced(scan, **{"basis.mean": np.linspace(-0.5, 0.5, D)})
        found = points_section(View(scan))
        points = unpacked(found["points"], "i2").reshape(-1, 2) / found["steps"]
        expected = project(normalize(jnp.asarray(scan.sample)), scan.basis)[:, :2]
        np.testing.assert_allclose(points, expected, atol=0.001)
        assert (sum(found["counts"]), found["one_of"]) == (len(points), 1)

    def test_kernels_that_are_not_finite_are_left_out(self, scan):
        sample = scan.sample.copy()
        sample[0, 0] = np.nan
        found = points_section(View(replaced(scan, sample=sample)))
        assert found["counts"][0] == 299

    def test_without_a_sample_there_is_neither(self, scan):
        view = View(replaced(scan, sample=None, sample_layer=None))
        assert (tiles_section(view), points_section(view)) == (None, None)
        assert axes_section(view)["tables"]["model"]["phenotypes"] is None


class TestModels:
    def test_rows_are_those_of_the_table(self, scan):
        found = models_section(View(scan))
        labels = [column["label"] for column in found["columns"]]
        rows = [dict(zip(labels, row, strict=True)) for row in found["rows"]]
        assert [row["model"] for row in rows] == list(SIZES)
        assert rows[1]["kernels"] == 4 * KERNELS
        assert rows[1]["S"] == rounded(scan.model_table["sparsity"][1].as_py())
        assert [row["task"] for row in rows] == ["detection"] * 2 + ["other"] * 2 + [None]

    def test_what_differs_between_layers_is_no_column(self, scan):
        column = [f"layer {i}" for i in range(15)]
        layers = scan.layer_table.append_column("stage", [column])
        found = models_section(View(dataclasses.replace(scan, layer_table=layers)))
        assert "stage" not in [column["label"] for column in found["columns"]]

    def test_without_quality_there_are_no_verdicts(self, scan):
        found = models_section(View(without_quality(scan)))
        kinds = {column["label"]: column["kind"] for column in found["columns"]}
        assert "verdict" not in kinds
        assert (kinds["kernels"], kinds["task"]) == ("number", "text")


def without_quality(scan):
    config = scan.record["config"] | {"quality": False}
    return dataclasses.replace(scan, record=scan.record | {"config": config})


class TestLayers:
    def test_numbers_are_those_of_the_tables(self, scan):
        found = layers_section(View(scan))
        columns, expected = found["columns"], quality(scan).layers
        assert columns["layer"] == scan.layer_table["layer"].to_pylist()
        assert columns["verdict"] == [row["verdict"] for row in expected]
        random = [rounded(row["random_variance_entropy"]) for row in expected]
        assert columns["random_variance_entropy"] == random
        assert [found["models"][i] for i in columns["model"]] == scan.layer_table[
            "model"
        ].to_pylist()

    def test_quality_counts_verdicts(self, scan):
        found = quality_section(View(scan))
        assert found["verdicts"] == {"collapsed": 1, "random-like": 1, "healthy": 13}
        assert sum(layers for _, layers, _ in found["shares"]) == 15

    def test_without_quality_nothing_is_judged(self, scan):
        view = View(without_quality(scan))
        assert quality_section(view) is None
        assert "verdict" not in layers_section(view)["columns"]


class TestOthers:
    def test_trajectories(self, scan):
        found, (expected,) = trajectories_section(View(scan)), trajectories(scan)
        assert [run["run"] for run in found["runs"]] == [expected.run]
        assert [point["step"] for point in found["runs"][0]["points"]] == [0, 100]
        assert found["runs"][0]["points"][0]["last"] == rounded(expected.points[0].last)

    def test_without_steps_there_are_none(self, tmp_path):
        assert trajectories_section(View(made_scan(tmp_path, {"a.pt": 1, "b.pt": 1}))) is None

    def test_densities_are_read_from_beside_the_scan(self, scan):
        assert densities_section(View(scan)) is None
        save_densities(scan.folder)
        (found,) = densities_section(View(scan))
        assert found["groups"] == [["detection", 2, 100], ["other", 2, 100]]
        assert found["pairs"][0]["backward"] == 0.75

    @pytest.mark.parametrize(
        "text", ["{", "[]", '{"by": "a"}', '{"by": 1, "groups": 3, "pairs": []}']
    )
    def test_other_files_of_that_name_are_refused(self, scan, text):
        (scan.folder / "density-task.json").write_text(text, "utf-8")
        with pytest.raises(CheckpointError, match=r"density-task\.json.*or remove it"):
            densities_section(View(scan))

    def test_refused_and_provenance(self, scan):
        assert refused_section(View(scan)) == [["cut.pt", "refused", "expected <b> more bytes"]]
        found = provenance_section(View(scan))
        assert ["version of jfilters", "0.1.0"] in found["facts"]
        assert ["config spatial", "[3, 3]"] in found["facts"]
        assert [row[0] for row in found["hashes"]] == list(SIZES)


class TestPack:
    def test_script_data_is_inert(self):
        text = as_script_data({"</script><!--": ["a\u202eb\x00", ("<",), 1.5, None, True]})
        assert "<" not in text
        assert "\\u202e" in text
        assert "\\\\u202e" in text  # spelled out, not the character

    def test_what_is_no_number_is_refused(self):
        with pytest.raises(ValueError, match="JSON"):
            as_script_data([float("nan")])

    @pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
    def test_undefined_numbers_are_null(self, value):
        assert rounded(value) is None

    def test_packed_numbers_are_cut_to_what_the_type_holds(self):
        assert unpacked(packed(np.array([-5.0, 3.4, 3.6, 300.0]), "u1"), "u1").tolist() == [
            0,
            3,
            4,
            255,
        ]
