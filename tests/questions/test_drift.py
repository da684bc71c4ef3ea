"""Groups, balance, words and tables of drift along an axis, against a plain computation."""

import csv
import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from jfilters.questions import Pair, axes_table, drift_between
from jfilters.questions.internal import Size, save_matrix, save_pairs
from jfilters.scans import group_layers
from jfilters.shift import METRICS, SamplingNull, drift, frechet, probability
from jfilters.shift.internal import NO_SPLIT
from jfilters.statistics import Moments, merge_moments

from ..scans.populations import labeled, population
from ..scans.scans import BINS, D, made_scan, moment_arrays, replaced

STATISTICS = [name for name, metric in METRICS.items() if metric.reads != "sample"]
SAMPLES = [name for name, metric in METRICS.items() if metric.reads == "sample"]


def pooled(scan, layers, weights=None):
    counts = scan.histogram[layers].astype(float)
    counts = counts if weights is None else counts * np.asarray(weights)[:, None, None]
    return probability(counts.sum(axis=0), scan.edges)


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory):
    """Eight models of 3 layers, of which the last four lie elsewhere."""
    scan = population(tmp_path_factory.mktemp("scan"), [0, 0.1, -0.1, 0.05, 1, 1.1, 0.9, 1.2])
    return labeled(scan, kind=["near"] * 4 + ["far"] * 4, odd=["a", "b"] * 4)


class TestGroups:
    def test_labels_unknown_and_order(self, two_kinds):
        scan = labeled(two_kinds, size=[10, 9, None, 9, 10, 2, 2, 2])
        groups = group_layers(scan, "size")
        assert [group.label for group in groups.groups] == ["2", "9", "10"]
        assert groups.unknown == 3
        np.testing.assert_array_equal(groups.groups[1].layers, [3, 4, 5, 9, 10, 11])
        assert list(groups.pairs) == [(0, 1), (0, 2), (1, 2)]

    def test_within_another_axis(self, two_kinds):
        groups = group_layers(two_kinds, "odd", "kind")
        assert [group.name for group in groups.groups] == ["far: a", "far: b", "near: a", "near: b"]
        assert list(groups.pairs) == [(0, 1), (2, 3)]

    def test_an_axis_within_itself(self, two_kinds):
        with pytest.raises(ValueError, match="two different axes"):
            group_layers(two_kinds, "kind", "kind")

    @pytest.mark.parametrize("question", [{"by": "format"}, {"by": "odd", "within": "model"}])
    def test_fewer_than_two_groups(self, two_kinds, question):
        with pytest.raises(ValueError, match="expected two groups or more along"):
            drift_between(two_kinds, **question)


class TestValues:
    def test_drift_of_sums(self, two_kinds):
        table = drift_between(two_kinds, "kind", permutations=0)
        assert table.labels == ("far", "near")
        expected = drift(
            pooled(two_kinds, slice(12, 24)),
            pooled(two_kinds, slice(0, 12)),
            np.asarray(two_kinds.basis.variance_ratio),
        )
        assert table.matrix[0, 1] == pytest.approx(float(expected), rel=1e-10)
        assert sum(table.pairs[0].shares) == pytest.approx(float(expected))
        assert len(table.pairs[0].shares) == D
        assert table.sizes[0] == Size(4, 4, 12, 48_000, 48_000.0)

    def test_clean_leaves_sparse_kernels_out(self, two_kinds):
        table = drift_between(two_kinds, "kind", clean=True, permutations=0)
        clean = replaced(two_kinds, histogram=two_kinds.histogram - two_kinds.sparse_histogram)
        expected = drift_between(clean, "kind", permutations=0)
        np.testing.assert_array_equal(table.matrix, expected.matrix)
        assert table.sizes[0].kernels < 48_000

    @pytest.mark.parametrize("metric", [{}, {"metric": "wasserstein"}])
    def test_clean_needs_the_histograms_of_sparse_kernels(self, two_kinds, metric):
        scan = replaced(two_kinds, sparse_histogram=None)
        with pytest.raises(ValueError, match="scan again with the quality on"):
            drift_between(scan, "kind", clean=True, **metric)

    def test_frechet_has_no_clean_moments(self, two_kinds):
        with pytest.raises(ValueError, match="normalized moments of all kernels only"):
            drift_between(two_kinds, "kind", clean=True, metric="frechet")

    @pytest.mark.parametrize("metric", STATISTICS)
    def test_matrix_and_pairs_agree(self, two_kinds, metric):
        table = drift_between(two_kinds, "model", metric=metric, permutations=0, replicates=0)
        assert np.allclose(table.matrix, table.matrix.T) == METRICS[metric].symmetric
        pair = table.pairs[7]
        i, j = table.labels.index(pair.first), table.labels.index(pair.second)
        assert pair.value == table.matrix[i, j] == pytest.approx(sum(pair.shares))
        assert (np.diagonal(table.matrix) == 0).all()

    def test_frechet_is_that_of_merged_moments(self, tmp_path):
        scan = made_scan(tmp_path, {"a": 2, "b": 1})
        rng = np.random.default_rng(0)
        points = [rng.uniform(-1, 1, size=(40, D)) * (1 + i) / 3 for i in range(3)]
        parts = [
            Moments(np.array(40.0), p.mean(axis=0), (p - p.mean(axis=0)).T @ (p - p.mean(axis=0)))
            for p in points
        ]
        stacked = Moments(
            *(np.stack([getattr(p, f) for p in parts]) for f in ("count", "mean", "scatter"))
        )
        counts = np.zeros_like(scan.histogram)
        counts[..., 0] = 40
        scan = replaced(scan, **moment_arrays({"normalized": stacked}), histogram=counts)
        table = drift_between(scan, "model", metric="frechet")
        expected = frechet(merge_moments(parts[0], parts[1]), parts[2])
        assert table.matrix[0, 1] == pytest.approx(float(expected), rel=1e-8)
        assert table.pairs[0].sampling_null.quantile95 > table.pairs[0].sampling_null.mean > 0

    def test_metric_names_are_suggested(self, two_kinds):
        with pytest.raises(ValueError, match="did you mean hellinger"):
            drift_between(two_kinds, "kind", metric="helinger")


class TestBalance:
    @pytest.fixture
    def uneven(self, tmp_path):
        scan = population(tmp_path, [0, 0.6, 1.2], layers=2)
        times = np.array([1, 3, 2, 8, 5, 1])[:, None, None]
        return labeled(replaced(scan, histogram=scan.histogram * times), kind=["a", "a", "b"])

    @pytest.mark.parametrize(
        ("balance", "weights", "effective"),
        [
            ("kernels", [1, 1, 1, 1], 14 * 4000),
            ("layers", [1, 1 / 3, 1 / 2, 1 / 8], 16 * 4000 / (1 + 1 / 3 + 1 / 2 + 1 / 8)),
            ("models", [1 / 4, 1 / 4, 1 / 10, 1 / 10], 4 * 4000 / (1 / 4 + 1 / 10)),
        ],
    )
    def test_what_counts_the_same(self, uneven, balance, weights, effective):
        table = drift_between(uneven, "kind", balance=balance, permutations=0)
        second = {"kernels": [1, 1], "layers": [1 / 5, 1], "models": [1, 1]}[balance]
        expected = drift(
            pooled(uneven, slice(0, 4), weights),
            pooled(uneven, slice(4, 6), second),
            np.asarray(uneven.basis.variance_ratio),
        )
        assert table.matrix[0, 1] == pytest.approx(float(expected), rel=1e-9)
        assert table.sizes[0].effective == pytest.approx(effective)
        assert table.sizes[0].kernels == 14 * 4000


NULL = SamplingNull(0.8, 1.0)


class TestWords:
    def test_shifted_groups_and_chance(self, two_kinds):
        shifted = drift_between(two_kinds, "kind").pairs[0]
        chance = drift_between(two_kinds, "odd").pairs[0]
        # 70 splits, each with its mirror image.
        assert (shifted.p, shifted.label) == (2 / 70, "shifted")
        assert chance.p > 0.05
        assert chance.label == "within null"
        assert chance.value > chance.sampling_null.quantile95

    def test_one_model_against_one_is_no_test(self, two_kinds):
        pair = next(p for p in drift_between(two_kinds, "model").pairs if p.value > 0.5)
        assert (pair.p, pair.p_adjusted, pair.label) == (None, None, "no test")
        assert pair.reason == "one network against one: there is no other way to split them"

    def test_debiased_and_between_units(self, two_kinds):
        pair = drift_between(two_kinds, "kind").pairs[0]
        assert pair.debiased == pair.value - pair.sampling_null.mean
        assert pair.effect_low < pair.effect < pair.effect_high
        assert 0.5 * pair.value < pair.effect < pair.value
        chance = drift_between(two_kinds, "odd").pairs[0]
        assert chance.effect_low < 0 < chance.effect_high
        other = drift_between(two_kinds, "kind", metric="wasserstein").pairs[0]
        assert (other.effect, other.effect_low) == (None, None)

    def test_p_is_corrected_for_the_number_of_pairs(self, tmp_path):
        scan = population(tmp_path, [0] * 4 + [1] * 4 + [2] * 4, layers=1)
        scan = labeled(scan, kind=list("aaaabbbbcccc"))
        for pair in drift_between(scan, "kind").pairs:
            assert (pair.p, pair.p_adjusted) == (2 / 70, 6 / 70)
            assert pair.label == "within null"

    def test_units_in_both_groups_swap_their_parts(self, tmp_path):
        scan = population(tmp_path, np.linspace(-1, 1, 8), layers=3)
        shifted = scan.histogram.copy()
        shifted[::3] = np.roll(shifted[::3], 12, axis=-1)
        scan = replaced(scan, histogram=shifted)
        for balance in ("kernels", "layers", "models", "units"):
            pair = drift_between(scan, "first_layer", balance=balance).pairs[0]
            assert (pair.p, pair.smallest_p) == (2 / 2**8, 2 / 2**8)

    @pytest.mark.parametrize("metric", ["kl", "wasserstein", "jensen-shannon"])
    def test_other_metrics_of_histograms_have_the_same_test(self, two_kinds, metric):
        counts = two_kinds.histogram.copy()
        counts[:12] //= 4
        scan = replaced(two_kinds, histogram=counts)
        pair = drift_between(scan, "kind", metric=metric).pairs[0]
        assert pair.p == pair.smallest_p == (1 if metric == "kl" else 2) / 70
        assert 2_000 < pair.thinned_to <= 3_000

    def test_moments_cannot_be_thinned(self, two_kinds):
        pair = drift_between(two_kinds, "kind", metric="frechet").pairs[0]
        assert (pair.p, pair.label) == (None, "no test")
        assert "ask for a metric of histograms" in pair.reason

    def test_other_groups_change_no_pair(self, two_kinds):
        scan = labeled(two_kinds, three=["a", "a", "b", "b", "a", "b", "c", "c"])
        alone = scan.only(np.array(scan.layer_table["three"].to_pylist()) != "c")
        pair = drift_between(scan, "three").pairs[0]
        assert (
            dataclasses.replace(pair, p_adjusted=pair.p) == drift_between(alone, "three").pairs[0]
        )

    def test_same_seed_same_table(self, two_kinds):
        first, second = (drift_between(two_kinds, "odd", seed=3, permutations=60) for _ in "ab")
        assert first.record() == second.record()
        other = drift_between(two_kinds, "odd", seed=4, permutations=60)
        assert first.pairs[0].p != other.pairs[0].p

    @pytest.mark.parametrize(
        ("kernels", "value", "p", "word"),
        [
            (99, 5.0, 0.001, "too few kernels"),
            (100, 5.0, 0.001, "shifted"),
            (100, 2.0, 0.001, "shifted"),
            (100, 2.0, 0.2, "too few kernels"),
            (9_999, 2.0, 0.2, "too few kernels"),
            (9_999, 2.1, 0.2, "within null"),
            (10_000, 2.0, 0.001, "shifted"),
            (10_000, 2.0, 0.05, "shifted"),
            (10_000, 2.0, 0.051, "within null"),
            (10_000, 1.0, 0.001, "within null"),
            (10_000, 1.1, None, "no test"),
            (10_000, 1.0, None, "no test"),
            (9_999, 2.0, None, "too few kernels"),
        ],
    )
    def test_rule(self, kernels, value, p, word):
        pair = self.pair(kernels, value, p)
        assert pair.label == word
        assert pair.is_of_few_kernels == (word == "too few kernels")
        swapped = dataclasses.replace(
            pair, first_size=pair.second_size, second_size=pair.first_size
        )
        assert swapped.label == word

    def pair(self, kernels, value, p, null=NULL):
        return Pair(
            "a",
            "b",
            None,
            value,
            *(None,) * 5,
            first_size=Size(1, 1, 1, kernels, float(kernels)),
            second_size=Size(9, 9, 9, 10**6, 10.0**6),
            sampling_null=null,
            p=p,
            p_adjusted=p,
            smallest_p=0.001,
            reason=None,
        )

    @pytest.mark.parametrize(
        ("p", "word"), [(0.01, "shifted"), (0.2, "within null"), (None, "no test")]
    )
    def test_without_a_sampling_null_p_decides(self, p, word):
        assert self.pair(10**6, 1.0, p, None).label == word

    def test_no_value_is_too_few_kernels(self):
        assert self.pair(10**6, None, 0.001).label == "too few kernels"


@pytest.fixture
def kin(two_kinds):
    """The same models, of which the first two are one family and the last three one run."""
    names = two_kinds.model_names
    columns = {
        "family": [names[0], names[0], *names[2:]],
        "run": [None] * 5 + ["run"] * 3,
    }
    table = two_kinds.model_table
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, pa.string()))
    return dataclasses.replace(two_kinds, model_table=table)


class TestUnits:
    def test_families_and_runs_are_exchanged_whole(self, kin):
        table = drift_between(kin, "kind")
        assert (table.unit, table.units, table.models) == ("family or run", 5, 8)
        assert [size.units for size in table.sizes] == [2, 3]
        assert table.pairs[0].smallest_p == 1 / 10
        assert (table.pairs[0].p, table.pairs[0].label) == (1 / 10, "within null")

    def test_each_model_by_itself(self, kin):
        table = drift_between(kin, "kind", unit="model")
        assert (table.unit, table.units, table.pairs[0].p) == ("model", 8, 2 / 70)
        assert any("kin are taken as trained apart" in x for x in table.warnings)
        assert not any("trained apart" in x for x in drift_between(kin, "kind").warnings)

    def test_a_column(self, kin):
        scan = labeled(kin, vendor=["x", "x", "y", None, "z", "z", "w", "w"])
        table = drift_between(scan, "kind", unit="vendor")
        assert (table.unit, table.units) == ("vendor", 5)

    @pytest.mark.parametrize(
        ("unit", "message"),
        [("famly", "expected an axis"), ("depth", "expected an axis of whole models")],
    )
    def test_columns_that_are_none(self, kin, unit, message):
        with pytest.raises(ValueError, match=message):
            drift_between(kin, "kind", unit=unit)

    def test_a_label_of_one_family_has_no_test(self, kin):
        scan = labeled(kin, style=["anime"] * 2 + ["photo"] * 6)
        table = drift_between(scan, "style")
        assert table.warnings[0] == 'all networks of "anime" are one family or run'
        assert '"photo" is 4 families or runs (6 networks)' in table.warnings
        pair = drift_between(scan.only(np.arange(24) < 9), "style").pairs[0]
        assert (pair.p, pair.label) == (None, "no test")
        assert pair.reason == 'all networks of "anime" are one family'

    def test_one_unit_in_both_groups_has_no_test(self, kin):
        scan = kin.only(np.arange(24) < 6)
        counts = scan.histogram.copy()
        counts[::3] = np.roll(counts[::3], 12, axis=-1)
        pair = drift_between(replaced(scan, histogram=counts), "first_layer").pairs[0]
        assert (pair.p, pair.label) == (None, "no test")
        assert pair.reason == "one family only: its parts cannot tell what others would show"

    def test_balance_of_units(self, kin):
        weights = [1 / 24_000] * 6 + [1 / 12_000] * 6
        table = drift_between(kin, "kind", balance="units", permutations=0)
        second = [1 / 12_000] * 3 + [1 / 36_000] * 9
        expected = drift(
            pooled(kin, slice(12, 24), second),
            pooled(kin, slice(0, 12), weights),
            np.asarray(kin.basis.variance_ratio),
        )
        assert table.matrix[0, 1] == pytest.approx(float(expected), rel=1e-9)

    def test_sizes_that_go_with_a_label_are_told(self, two_kinds):
        counts = two_kinds.histogram.copy()
        counts[:12] //= 10
        (warning,) = (
            x
            for x in drift_between(replaced(two_kinds, histogram=counts), "kind").warnings
            if "sizes" in x
        )
        assert warning.startswith('sizes go with kind: units of "far" hold 12,000 kernels')
        assert not any("sizes" in x for x in drift_between(two_kinds, "kind").warnings)

    def test_unknown_families_are_told(self, two_kinds, kin):
        sentence = "families are unknown: each network is taken as trained by itself"
        table = kin.model_table.drop_columns(["family", "run"])
        unknown = dataclasses.replace(kin, model_table=table)
        assert sentence in drift_between(unknown, "kind").warnings
        assert sentence not in drift_between(kin, "kind").warnings

    def test_few_units(self, kin):
        scan = labeled(kin, few=["a", "a", "a", "b", "b", None, None, None])
        pair = drift_between(scan, "few").pairs[0]
        assert (pair.p is None, pair.smallest_p) == (False, 1 / 3)


class TestSamples:
    @pytest.fixture
    def sampled(self, tmp_path):
        scan = population(tmp_path, [0, 0, 0, 0, 0, 0, 0, 0], layers=2)
        rng = np.random.default_rng(0)
        sample = rng.normal(size=(16 * 20, D)).astype(np.float32)
        sample[8 * 20 :] += 0.7
        return labeled(
            replaced(scan, sample=sample, sample_layer=np.repeat(np.arange(16), 20)),
            kind=["a"] * 4 + ["b"] * 4,
            odd=["x", "y"] * 4,
        )

    @pytest.mark.parametrize("metric", [name for name in SAMPLES if name != "sinkhorn"])
    def test_shifts_are_found_and_chance_is_not(self, sampled, metric):
        shifted = drift_between(sampled, "kind", metric=metric).pairs[0]
        chance = drift_between(sampled, "odd", metric=metric).pairs[0]
        assert (shifted.p, shifted.label, shifted.shares) == (2 / 70, "shifted", None)
        null = shifted.sampling_null
        assert shifted.value > null.quantile95 > null.mean > 0
        assert chance.p > 0.05

    def test_sinkhorn_gives_a_value_alone(self, sampled):
        table = drift_between(sampled, "kind", metric="sinkhorn")
        pair = table.pairs[0]
        assert pair.value > 0
        assert (pair.sampling_null, pair.p, pair.label) == (None, None, "no test")
        assert "solved again" in pair.reason

    def test_points_count_what_they_stand_for(self, sampled):
        # The kernels of model 0 count nine times: as if its points were there nine times.
        times = np.where(sampled.model_of_layer == 0, 9, 1)[:, None, None]
        heavy = replaced(sampled, histogram=sampled.histogram * times)
        again = np.repeat(np.arange(320), np.where(np.arange(320) < 40, 9, 1))
        repeated = replaced(
            heavy, sample=sampled.sample[again], sample_layer=sampled.sample_layer[again]
        )
        values = [
            drift_between(s, "kind", metric="energy", permutations=0).matrix[0, 1]
            for s in (heavy, repeated, sampled)
        ]
        # More than 500 points would be thinned out.
        assert len(again) - 160 <= 500
        assert values[0] == pytest.approx(values[1], rel=1e-9)
        assert values[0] != pytest.approx(values[2], rel=1e-3)

    def test_models_balance_points_too(self, sampled):
        times = np.where(sampled.model_of_layer == 0, 9, 1)[:, None, None]
        heavy = replaced(sampled, histogram=sampled.histogram * times)
        values = [
            drift_between(s, "kind", metric="energy", balance="models", permutations=0).matrix
            for s in (heavy, sampled)
        ]
        np.testing.assert_allclose(*values)

    def test_clean_leaves_sparse_points_out(self, sampled):
        # Sparse kernels keep their shape once they are normalized: only their size tells.
        tiny = sampled.sample.copy()
        tiny[::2] *= -1e-4
        scan = replaced(sampled, sample=tiny)
        rest = replaced(sampled, sample=tiny[1::2], sample_layer=sampled.sample_layer[1::2])
        first, second = (
            drift_between(s, "kind", metric="energy", clean=clean, permutations=0).matrix
            for s, clean in ((scan, True), (rest, False))
        )
        np.testing.assert_allclose(first, second)

    def test_a_group_without_any_sampled_kernel(self, sampled):
        none = sampled.sample_layer >= 8
        scan = replaced(
            sampled, sample=sampled.sample[none], sample_layer=sampled.sample_layer[none]
        )
        pair = drift_between(scan, "kind", metric="energy").pairs[0]
        assert (pair.value, pair.sampling_null, pair.p) == (None, None, None)
        assert pair.label == "too few kernels"

    def test_no_sample_at_all(self, two_kinds):
        scan = replaced(two_kinds, sample=None, sample_layer=None)
        with pytest.raises(ValueError, match="scan again with --sample"):
            drift_between(scan, "kind", metric="mmd")


class TestFiles:
    def test_matrix(self, two_kinds, tmp_path):
        table = drift_between(two_kinds, "odd", within="kind", permutations=0)
        save_matrix(table, tmp_path / "matrix.csv")
        rows = list(csv.reader((tmp_path / "matrix.csv").read_text("utf-8").splitlines()))
        assert rows[0] == ["", "far: a", "far: b", "near: a", "near: b"]
        assert rows[1][:3] == ["far: a", "0.0", repr(table.matrix[0, 1].item())]
        assert rows[1][3:] == ["", ""]

    def test_pairs(self, two_kinds, tmp_path):
        table = drift_between(two_kinds, "kind")
        save_pairs(table, tmp_path / "pairs.csv")
        (row,) = csv.DictReader((tmp_path / "pairs.csv").read_text("utf-8").splitlines())
        pair = table.pairs[0]
        assert (row["first"], row["second"], row["within"]) == ("far", "near", "")
        assert float(row["drift"]) == pair.value
        assert float(row["sampling_95"]) == pair.sampling_null.quantile95
        assert float(row["debiased"]) == pair.debiased
        assert float(row["effect_low"]) == pair.effect_low
        assert (float(row["p"]), row["label"]) == (pair.p, "shifted")
        assert (row["first_models"], row["second_kernels"]) == ("4", "48000")
        assert float(row["component_9"]) == pair.shares[8]

    def test_json(self, two_kinds):
        table = drift_between(two_kinds, "odd", within="kind", metric="kl")
        record = json.loads(json.dumps(table.record(), allow_nan=False))
        assert record["matrix"][0][2] is None
        assert record["pairs"][0]["label"] == table.pairs[0].label
        assert record["groups"][0] == {"label": "far: a", "models": 2, "units": 2, "layers": 6} | {
            "kernels": 24_000,
            "effective": 24_000.0,
        }


class TestAxes:
    def test_axes_by_their_median(self, two_kinds):
        table = axes_table(two_kinds, ["odd", "kind", "first_layer"])
        assert table.axes[0].axis == "kind"
        row = table.axes[0]
        full = drift_between(two_kinds, "kind")
        assert row.median == row.mean == row.maximum == full.pairs[0].value
        assert (row.groups, row.furthest) == (2, ("far", "near"))
        assert row.debiased == full.pairs[0].debiased
        assert (row.models, row.units, row.p, row.smallest_p) == (8, 8, 2 / 70, 2 / 70)
        assert table.axes[1].p > 0.05
        assert {row.axis for row in axes_table(two_kinds).axes} >= {"kind", "odd", "model"}

    def test_models_cannot_change_their_labels(self, two_kinds):
        (row,) = axes_table(two_kinds, ["model"]).axes
        assert (row.groups, row.p, row.smallest_p) == (8, None, 1.0)
        assert "no other way" in row.reason
        values = [pair.value for pair in drift_between(two_kinds, "model", permutations=0).pairs]
        assert row.median == np.median(values)
        assert row.mean == pytest.approx(np.mean(values))

    def test_of_many_parts_fewer_relabelings_are_made(self, two_kinds, monkeypatch):
        monkeypatch.setattr("jfilters.questions._axis_null.MOST_ADDED", 8 * D * BINS * 2 * 60)
        monkeypatch.setattr("jfilters.questions._axis_null.FEWEST_RELABELED", 20)
        (row,) = axes_table(two_kinds, ["kind"], permutations=1000).axes
        assert row.smallest_p == 1 / 61
        monkeypatch.setattr("jfilters.questions._axis_null.MOST_ADDED", 0)
        (row,) = axes_table(two_kinds, ["kind"], permutations=1000).axes
        assert row.smallest_p == 1 / 21

    def test_no_permutations_have_no_p(self, two_kinds):
        (row,) = axes_table(two_kinds, ["kind"], permutations=0).axes
        assert (row.p, row.reason) == (None, "no permutations were asked for")

    def test_metrics_of_samples_have_no_test_of_many_groups(self, two_kinds):
        rng, layers = np.random.default_rng(0), np.repeat(np.arange(24), 10)
        sample = rng.normal(size=(240, D)).astype(np.float32)
        scan = labeled(
            replaced(two_kinds, sample=sample, sample_layer=layers), three=["a", "b", "c", "c"] * 2
        )
        two, three = axes_table(scan, ["kind", "three"], metric="energy").axes
        assert {two.axis: two.p is None, three.axis: three.p is None} == {
            "kind": False,
            "three": True,
        }

    def test_units_in_every_group_turn_their_differences_round(self, tmp_path):
        scan = population(tmp_path, np.linspace(-1, 1, 8), layers=3)
        shifted = scan.histogram.copy()
        shifted[::3] = np.roll(shifted[::3], 6, axis=-1)
        scan = labeled(replaced(scan, histogram=shifted), place=list("abc") * 8)
        (row,) = axes_table(scan, ["place"], permutations=400).axes
        assert (row.p, row.smallest_p) == (2 / 2**8, 2 / 2**8)

    def test_what_few_kernels_make_is_no_shift(self, tmp_path):
        # First layers have a hundredth of the kernels of the others, from the same distribution.
        scan = population(tmp_path, [0] * 12, layers=3, kernels=40_000)
        rng, histogram = np.random.default_rng(0), scan.histogram.copy()
        pooled = scan.histogram.sum(axis=0)
        for layer in range(len(histogram)):
            n = 40_000 if layer % 3 else 400
            histogram[layer] = [rng.multinomial(n, row / row.sum()) for row in pooled]
        scan = replaced(scan, histogram=histogram)
        for balance in ("kernels", "models"):
            (row,) = axes_table(scan, ["first_layer"], balance=balance).axes
            assert row.p > 0.05
            assert abs(row.debiased) < row.median / 4

    def test_axes_that_follow_from_the_statistic_are_listed_apart(self, two_kinds):
        verdicts = two_kinds.layer_table.column_names.index("verdict")
        values = pa.array(["healthy", "sparse", "sparse"] * 8)
        layers = two_kinds.layer_table.set_column(verdicts, "verdict", values)
        scan = dataclasses.replace(two_kinds, layer_table=layers)
        table = axes_table(scan)
        assert "verdict" in table.left_out
        assert "verdict" not in {row.axis for row in table.axes}
        assert [row.axis for row in axes_table(scan, ["verdict"]).axes] == ["verdict"]

    def test_the_axis_of_the_units_is_listed_apart(self, kin):
        scan = labeled(kin, family=kin.model_table["family"].to_pylist())
        table = axes_table(scan)
        assert table.left_out["family"].startswith("its groups are the units")
        assert "model" in {row.axis for row in table.axes}
        assert [row.axis for row in axes_table(scan, ["family"]).axes] == ["family"]

    def test_furthest_is_no_pair_of_few_kernels(self, tmp_path):
        # 120 kernels of one law with the next group are further apart by sampling than any other pair.
        scan = population(tmp_path, [0, 0, 0.1, -0.1, 0.05], layers=1, kernels=40_000)
        counts = scan.histogram.copy()
        counts[0] = [np.random.default_rng(0).multinomial(120, x / x.sum()) for x in counts[1]]
        scan = labeled(replaced(scan, histogram=counts), each=[*"abcde"])
        pairs = drift_between(scan, "each", permutations=0).pairs
        assert max(pairs, key=lambda pair: pair.value).is_of_few_kernels
        readable = [pair for pair in pairs if not pair.is_of_few_kernels]
        top = max(readable, key=lambda pair: pair.value)
        (row,) = axes_table(scan, ["each"], permutations=0).axes
        assert row.few == len(pairs) - len(readable) == 4
        assert (row.furthest, row.maximum) == ((top.first, top.second), top.value)

    def test_small_groups_are_left_out(self, two_kinds):
        counts = two_kinds.histogram.copy()
        counts[3:6] //= 200
        scan = replaced(two_kinds, histogram=counts)
        (row,) = axes_table(scan, ["model"], permutations=0).axes
        assert (row.groups, row.small) == (8, 1)
        few = replaced(two_kinds, histogram=two_kinds.histogram // 1000)
        table = axes_table(few, ["kind"], permutations=0)
        assert table.axes == ()
        assert table.left_out == {"kind": "no two of its 2 groups have 100 kernels"}


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """Tasks far apart, and inside each of them kinds a little apart."""
    shifts = [-1.1, -0.9, -1.1, -0.9, 0.9, 1.1, 0.9, 1.1] * 2
    scan = population(tmp_path_factory.mktemp("crossed"), shifts)
    return labeled(scan, task=[*"aaaabbbb"] * 2, kind=[*"xy"] * 8)


class TestMatched:
    def test_what_is_matched_leaves_the_null(self, crossed):
        free = drift_between(crossed, "kind").pairs[0]
        matched = drift_between(crossed, "kind", matched=["task"]).pairs[0]
        assert (free.value, free.label) == (matched.value, "within null")
        assert (matched.label, matched.p) == ("shifted", pytest.approx(0, abs=0.02))

    def test_axes_are_matched_by_all_but_themselves(self, crossed):
        free = {row.axis: row for row in axes_table(crossed, ["kind", "task"]).axes}
        asked = axes_table(crossed, ["kind", "task"], matched=["kind", "task"])
        matched = {row.axis: row for row in asked.axes}
        assert asked.question.matched == ("kind", "task")
        assert matched["kind"].p < 0.02 < 0.05 < free["kind"].p
        assert matched["task"].p < 0.01

    def test_nothing_matches_across_an_axis_itself(self, crossed):
        pair = drift_between(crossed, "kind", matched=["kind"]).pairs[0]
        assert (pair.p, pair.reason) == (None, NO_SPLIT)

    def test_axes_that_differ_inside_a_model(self, crossed):
        with pytest.raises(ValueError, match=r"first_layer differs inside 00\.pt"):
            drift_between(crossed, "kind", matched=["task", "first_layer"])

    def test_layers_inside_models_match_anyway(self, crossed):
        free = drift_between(crossed, "first_layer", seed=1).pairs[0]
        assert drift_between(crossed, "first_layer", seed=1, matched=["task"]).pairs[0] == free


def test_histograms_of_tests_have_the_bins_of_scans(two_kinds):
    assert two_kinds.histogram.shape == (24, D, BINS)
