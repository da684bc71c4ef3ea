"""Every figure draws what the analysis says: its artists hold the numbers, and nothing is left blank."""

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from jfilters.questions import drift_between, drift_from_others, model_pairs, trajectories
from jfilters.questions.internal import (
    coefficient_densities,
    coefficient_plane,
    marks,
    variance_ratios,
)
from jfilters.report import figures
from jfilters.report.figures._basis import picture
from jfilters.report.figures._names import shown_all
from jfilters.scans import group_layers
from jfilters.statistics import Basis
from jfilters.statistics.internal import basis_arrays
from tests.scans.scans import replaced

from .scans import drawable, renamed, run_of

HOSTILE = ["a$b$c", "_under", "<b>bold</b>", "x" * 300]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return drawable(tmp_path_factory.mktemp("scan") / "scan")


@pytest.fixture(scope="module")
def run(scan):
    return run_of(scan, [0, 1, 10, 1000])


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


class TestRidge:
    def test_curves_are_the_densities_up_to_their_peak(self, scan):
        columns = figures.ridge(scan, by="kind").axes
        densities = coefficient_densities(scan, group_layers(scan, "kind"))
        assert len(columns) == scan.d
        for component in (0, 8):
            curves = columns[component].get_lines()[:2]
            for row, curve in enumerate(curves):
                height = row - curve.get_ydata()
                peak = densities[row, component].max()
                np.testing.assert_allclose(height * peak / 0.85, densities[row, component])
        assert labels(columns[0].yaxis) == ["far", "near"]
        assert columns[0].get_title() == "1\n20.0 %"

    def test_of_25_taps_the_first_components_are_drawn_and_said_to_be(self, scan):
        arrays = {"edges": scan.edges, "histogram": np.tile(scan.histogram, (1, 3, 1))[:, :25]}
        arrays |= basis_arrays(Basis(np.zeros(25), np.eye(25), np.full(25, 0.04)))
        record = scan.record | {"config": scan.record["config"] | {"spatial": [5, 5]}}
        wide = dataclasses.replace(scan, record=record, arrays=arrays)
        drawn = figures.ridge(wide, by="kind")
        assert len(drawn.axes) == 9
        assert "the first 9 of 25 components" in drawn.get_supxlabel()

    def test_small_groups_are_gray_and_said_to_be(self, scan):
        small = replaced(scan, histogram=scan.histogram.copy())
        small.histogram[:4] //= 4000
        small.histogram[:4, :, 35] += 5
        drawn = figures.ridge(small)
        colors = [line.get_color() for line in drawn.axes[0].get_lines()[:4]]
        assert [color == colors[0] for color in colors] == [True, False, False, False]
        assert "gray: fewer than 100 kernels" in drawn.get_supxlabel()

    def test_more_groups_than_fit_are_refused_with_the_remedy(self, scan, monkeypatch):
        monkeypatch.setattr("jfilters.report.figures._limits.MOST_ROWS", 3)
        with pytest.raises(ValueError, match=r"at most 3 groups along model .* found 4; ask for"):
            figures.ridge(scan)


class TestDriftMap:
    def test_the_map_is_the_matrix_and_marks_are_the_words(self, scan):
        table = drift_between(scan, "model", permutations=400)
        ax = figures.drift_map(scan)
        shown, off = ax.images[0].get_array(), ~np.eye(4, dtype=bool)
        np.testing.assert_allclose(shown[off], table.matrix[off])
        marked = {
            (int(y), int(x))
            for line in ax.get_lines()
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        }
        assert marked == {place for place, word in marks(table).items() if word != "no test"}
        assert labels(ax.yaxis) == list(table.labels) == labels(ax.xaxis)

    def test_each_word_has_its_marker_at_its_row_and_column(self, scan, monkeypatch):
        words = {
            **{(0, 1): "within null", (2, 0): "too few kernels"},
            **{(3, 1): "shifted", (3, 2): "no test"},
        }
        monkeypatch.setattr("jfilters.report.figures._drift_map.marks", lambda _: words)
        ax = figures.drift_map(scan, permutations=0)
        found = {
            (line.get_marker(), *line.get_ydata(), *line.get_xdata())
            for line in ax.get_lines()
            if len(line.get_xdata())
        }
        assert found == {("o", 0, 1), ("x", 2, 0), ("D", 3, 1)}
        assert texts(ax.get_legend()) == [
            "shifted",
            "within null",
            "too few kernels",
            "no mark: no test",
        ]

    def test_pairs_of_few_kernels_do_not_stretch_the_colors(self, scan):
        counts = scan.histogram.copy()
        counts[:4] = np.where(np.arange(counts.shape[-1]) == 3, 20, 0)
        few = replaced(scan, histogram=counts)
        table = drift_between(few, "model", permutations=0)
        readable = [pair.value for pair in table.pairs if not pair.is_of_few_kernels]
        assert len(readable) == 3
        assert figures.drift_map(table).images[0].get_clim()[1] < 4 * max(readable)
        assert max(pair.value for pair in table.pairs) > 4 * max(readable)

    def test_a_table_and_other_metrics_on_given_axes(self, scan):
        table = drift_between(scan, "kind", metric="wasserstein", permutations=0)
        given = Figure().add_subplot()
        assert figures.drift_map(table, given) is given
        bar = given.figure.axes[1]
        assert bar.get_ylabel() == "wasserstein (coefficients)"

    def test_copies_of_a_model_have_the_darkest_color(self, scan):
        twins = replaced(scan, histogram=scan.histogram.copy())
        twins.histogram[4:8] = twins.histogram[:4]
        image = figures.drift_map(twins).images[0]
        low = image.get_clim()[0]
        assert image.get_array()[0, 1] == 0 < low == pytest.approx(1e-4)

    def test_many_groups_go_without_names(self, scan, monkeypatch):
        monkeypatch.setattr("jfilters.report.figures._drift_map.MOST_NAMES", 3)
        assert "4 groups of model" in figures.drift_map(scan).get_xlabel()


class TestCumulativeVariance:
    def test_lines_are_cumulative_shares(self, scan):
        ax = figures.cumulative_variance(scan, by="kind")
        lines = dict(zip(texts(ax.get_legend()), ax.lines, strict=True))
        ratios = variance_ratios(scan, group_layers(scan, "kind"))
        np.testing.assert_allclose(lines["near"].get_ydata(), np.cumsum(ratios[1]))
        np.testing.assert_allclose(
            lines["the basis of the scan"].get_ydata(), np.cumsum(scan.basis.variance_ratio)
        )

    def test_many_groups_are_one_entry(self, scan, monkeypatch):
        monkeypatch.setattr("jfilters.report.figures._cumulative_variance.MOST_COLORS", 3)
        ax = figures.cumulative_variance(scan, by="model")
        assert "each of 4 groups of model" in texts(ax.get_legend())
        assert len(ax.lines) == 6

    def test_without_moments(self, scan):
        names = [name for name in scan.arrays if name.endswith((".count", ".mean", ".scatter"))]
        bare = replaced(scan, **dict.fromkeys(name for name in names if name[:6] != "basis."))
        assert figures.cumulative_variance(bare).lines
        with pytest.raises(ValueError, match="expected the moments of kernels"):
            figures.cumulative_variance(bare, by="kind")


class TestBasis:
    def test_pictures_are_the_components(self, scan):
        pictures = figures.basis(scan).axes
        assert len(pictures) == 10
        shown = pictures[3].images[0]
        np.testing.assert_array_equal(shown.get_array(), scan.basis.components[2].reshape(3, 3))
        low, high = shown.get_clim()
        assert low == -high == -np.abs(scan.basis.components).max()
        assert pictures[1].get_title() == "1\n20.0 %"

    @pytest.mark.parametrize(("spatial", "shape"), [((9,), (1, 9)), ((3, 2, 4), (2, 14))])
    def test_kernels_of_one_and_three_dimensions(self, spatial, shape):
        kernel = np.arange(np.prod(spatial), dtype=float)
        found = picture(kernel, spatial)
        assert found.shape == shape
        np.testing.assert_array_equal(np.sort(found[~np.isnan(found)]), kernel)


class TestAxisBoxes:
    def test_boxes_are_quartiles_of_model_pairs(self, tmp_path):
        kinds = ("near",) * 4 + ("far",) * 4
        scan = drawable(tmp_path, layers=2, kinds=kinds)
        ax = figures.axis_boxes(scan)
        (pairs,) = model_pairs(scan, ["kind"])
        assert labels(ax.yaxis) == ["kind"]
        for patch, values in zip(ax.patches, (pairs.within, pairs.between), strict=True):
            x = patch.get_path().vertices[:, 0]
            np.testing.assert_allclose([x.min(), x.max()], np.quantile(values, (0.25, 0.75)))
        assert {"12", "16"} <= {text.get_text() for text in ax.texts}

    def test_no_axis_of_models(self, scan):
        bare = dataclasses.replace(scan, layer_table=scan.layer_table.drop_columns(["kind"]))
        with pytest.raises(ValueError, match="pairs of models of one label and of two"):
            figures.axis_boxes(bare)


class TestDepthDeciles:
    def test_bars_are_drifts_from_the_rest(self, scan):
        left, right = figures.depth_deciles(scan).axes[:2]
        pairs = drift_from_others(scan, "depth_decile", permutations=400)
        bars = [patch.get_height() for patch in right.patches]
        np.testing.assert_allclose(bars, [pair.value for pair in pairs])
        lines = [
            c.get_segments()[0][0][1] for c in right.collections if isinstance(c, LineCollection)
        ]
        np.testing.assert_allclose(lines, [pair.sampling_null.quantile95 for pair in pairs])
        assert labels(left.yaxis) == labels(right.xaxis) == [pair.first for pair in pairs]


class TestQualityBoxes:
    def test_medians_and_limits(self, scan):
        drawn = figures.quality_boxes(scan, by="kind").axes
        # The made scan has no H/T: no empty panel stands for it.
        assert [ax.get_xlabel() for ax in drawn] == ["sparsity S", "orthogonality O"]
        medians = [line.get_xdata()[0] for line in drawn[1].lines if line.get_linewidth() == 1.4]
        assert medians == pytest.approx([0.815, 0.815])
        assert texts(drawn[0].get_legend()) == ["sparse"]

    def test_few_layers_are_points(self, scan):
        ax = figures.quality_boxes(scan, by="model").axes[0]
        points = ax.get_lines()[0]
        np.testing.assert_allclose(points.get_xdata(), np.arange(4) / 40)

    def test_without_quality(self, scan):
        table = scan.layer_table
        for name in ("sparsity", "orthogonality"):
            place = table.column_names.index(name)
            table = table.set_column(place, name, [[None] * table.num_rows])
        with pytest.raises(ValueError, match="scan again with the quality on"):
            figures.quality_boxes(dataclasses.replace(scan, layer_table=table))


class TestPhenotypePlanes:
    def test_pictures_count_the_sampled_kernels(self, scan):
        first = figures.phenotype_planes(scan, by="kind").axes[0]
        points, layer_of = coefficient_plane(scan)
        end = first.images[0].get_extent()[1]
        mine = points[np.isin(layer_of, group_layers(scan, "kind").groups[0].layers)]
        inside = (np.abs(mine) <= end).all(axis=1)
        assert first.images[0].get_array().sum() == inside.sum()
        assert first.get_title() == "far\nsun"

    def test_without_a_sample(self, scan):
        bare = replaced(scan, sample=None, sample_layer=None)
        with pytest.raises(ValueError, match="without `--sample 0`"):
            figures.phenotype_planes(bare)


class TestTrajectories:
    def test_lines_are_the_points(self, run):
        drawn = figures.trajectories(run)
        (found,) = trajectories(run)
        first = drawn.axes[0]
        np.testing.assert_array_equal(first.lines[0].get_xdata(), [0, 1, 10, 1000])
        np.testing.assert_allclose(
            first.lines[0].get_ydata(), [point.first for point in found.points]
        )
        assert first.get_xscale() == "symlog"
        assert texts(drawn.legends[0]) == ["run/step_*.pt"]

    def test_no_steps(self, scan):
        with pytest.raises(ValueError, match="holds no run"):
            figures.trajectories(renamed(scan, ["a", "b", "c", "d"]))


class TestNames:
    def test_folders_in_common_go_and_long_ones_are_cut(self):
        names = ["runs/a/net.pt", "runs/b/" + "y" * 99 + ".safetensors"]
        assert shown_all(names) == ["a/net.pt", "b/yyyyyyyyyy…y.safetensors"]
        assert shown_all(["runs/a.pt"]) == ["runs/a.pt"]

    def test_what_a_cut_makes_equal_is_told_apart(self):
        assert shown_all([f"{'x' * 20}{i}{'x' * 20}" for i in range(2)], 9) == [
            "xxxx…xxxx (1)",
            "xxxx…xxxx (2)",
        ]

    def test_what_breaks_lines_or_has_no_glyph_is_escaped(self):
        assert shown_all(["a\nb", "\N{CJK UNIFIED IDEOGRAPH-65E5}$"]) == ["a\\nb", "\\u65e5\\$"]


@pytest.mark.parametrize("name", list(figures.FIGURES))
def test_hostile_names_are_text(name, scan):
    steps = run_of(scan, range(4)) if name == "trajectories" else renamed(scan, HOSTILE)
    drawn = figures.FIGURES[name](steps)
    figure = drawn if hasattr(drawn, "savefig") else drawn.figure
    figure.draw_without_rendering()  # a name that is a formula raises or warns here


def test_a_part_of_a_figure_is_drawn_on(scan):
    whole = Figure(layout="constrained")
    left, right = whole.subfigures(1, 2)
    assert figures.ridge(scan, left, by="kind") is left
    assert figures.basis(scan, right) is right
    assert len(left.axes) == 9
