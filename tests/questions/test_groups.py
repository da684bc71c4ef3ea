"""Groups beside each other: densities, spectra, drift from the rest, and pairs of models of one kind."""

import jax
import numpy as np
import pytest

from jfilters.questions import drift_between, drift_from_others, model_pairs
from jfilters.questions.internal import coefficient_densities, variance_ratios
from jfilters.scans import group_layers
from jfilters.scans.internal import model_labels
from jfilters.shift import holm
from jfilters.statistics import Moments, fit_basis, merge_moments

from ..scans.populations import labeled, population
from ..scans.scans import moment_arrays, replaced


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    scan = population(tmp_path_factory.mktemp("scan"), [0, 0.1, -0.1, 0.05, 1, 1.1, 0.9, 1.2])
    return labeled(scan, kind=["near"] * 4 + ["far"] * 4)


class TestDensities:
    def test_counts_over_number_and_width(self, scan):
        found = coefficient_densities(scan, group_layers(scan, "kind"))
        counts = scan.histogram[12:].sum(axis=0)
        expected = counts / counts.sum(axis=1, keepdims=True) / np.diff(scan.edges)
        np.testing.assert_allclose(found[0], expected, atol=2e-7)
        np.testing.assert_allclose((found * np.diff(scan.edges)).sum(axis=-1), 1)

    def test_clean(self, scan):
        groups = group_layers(scan, "kind")
        clean = replaced(scan, histogram=scan.histogram - scan.sparse_histogram)
        np.testing.assert_array_equal(
            coefficient_densities(scan, groups, clean=True), coefficient_densities(clean, groups)
        )


class TestSpectra:
    def test_shares_are_those_of_the_merged_moments(self, scan):
        found = variance_ratios(scan, group_layers(scan, "model"))
        moments = scan.moments["normalized"]
        a, b, c = (jax.tree.map(lambda x, i=i: np.asarray(x[i]), moments) for i in range(3))
        expected = fit_basis(merge_moments(merge_moments(a, b), c)).variance_ratio
        np.testing.assert_allclose(found[0], expected, rtol=1e-10)
        np.testing.assert_allclose(found.sum(axis=1), 1)

    def test_no_kernels_are_nan(self, scan):
        moments = Moments(np.zeros(24), np.zeros((24, 9)), np.zeros((24, 9, 9)))
        none = replaced(scan, **moment_arrays({"normalized": moments}))
        assert np.isnan(variance_ratios(none, group_layers(none, "kind"))).all()


class TestRest:
    def test_each_group_against_all_others(self, scan):
        pairs = drift_from_others(scan, "depth", permutations=20)
        assert [pair.first for pair in pairs] == ["0", "1", "2"]
        assert {pair.second for pair in pairs} == {"others"}
        first = labeled(scan, first=["a", "b", "b"] * 8)
        expected = drift_between(first, "first", permutations=0)
        assert pairs[0].value == pytest.approx(expected.matrix[0, 1], rel=1e-12)
        assert pairs[0].first_size == expected.sizes[0]
        adjusted = holm([pair.p for pair in pairs])
        np.testing.assert_allclose([pair.p_adjusted for pair in pairs], adjusted)

    def test_layers_without_a_label_are_in_no_rest(self, scan):
        some = labeled(scan, half=["x"] * 4 + ["y"] * 2 + [None] * 2)
        pairs = drift_from_others(some, "half", permutations=0)
        assert pairs[0].second_size.models == 2
        assert pairs[0].value == pairs[1].value

    def test_one_group_has_no_rest(self, scan):
        with pytest.raises(ValueError, match="expected two groups or more"):
            drift_from_others(scan, "format")


class TestModelPairs:
    def test_within_and_between(self, scan):
        (found,) = model_pairs(scan, ["kind"])
        matrix = drift_between(scan, "model", permutations=0, replicates=0).matrix
        near = matrix[:4, :4][np.triu_indices(4, 1)]
        far = matrix[4:, 4:][np.triu_indices(4, 1)]
        np.testing.assert_allclose(np.sort(found.within), np.sort(np.concatenate([near, far])))
        np.testing.assert_allclose(np.sort(found.between), np.sort(matrix[:4, 4:].ravel()))
        assert (found.models, found.small, found.unknown) == (8, 0, 0)

    def test_small_and_unknown_models_are_left_out_and_counted(self, scan):
        some = labeled(scan, half=["x"] * 3 + ["y"] * 3 + [None] * 2)
        some = replaced(some, histogram=some.histogram.copy())
        some.histogram[:3] = 0
        (found,) = model_pairs(some, ["half"])
        assert (found.models, found.small, found.unknown) == (5, 1, 2)
        assert len(found.within) == 1 + 3
        assert len(found.between) == 6

    def test_an_axis_that_divides_models(self, scan):
        assert model_labels(scan, "kind")[:5] == ["near"] * 4 + ["far"]
        with pytest.raises(ValueError, match=r"axis of whole models, got depth: .* 00\.pt"):
            model_pairs(scan, ["depth"])
