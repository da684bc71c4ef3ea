import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.shift import kernel_drift, kernel_similarity
from jfilters.shift.internal import by_content, channel_order, is_related, signature
from jfilters.statistics import fit_basis, fixed_edges, histogram, merge_moments, normalize
from jfilters.statistics.internal import host_counts, host_normalize, host_set_moments


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class TestKernelSimilarity:
    @given(st.integers(0, 1000), st.integers(2, 5))
    def test_chance_is_that_of_all_matchings(self, seed, n):
        a, b = normal(seed, n, 4) + 1, normal(seed + 1, n, 4) + 1
        found = kernel_similarity(a, b)
        u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        cosines = u.astype(np.float64) @ v.T
        means = [
            np.mean([cosines[i, j] for i, j in enumerate(order)])
            for order in itertools.permutations(range(n))
        ]
        assert found.null_mean == pytest.approx(np.mean(means), abs=1e-6)
        assert found.null_deviation == pytest.approx(np.std(means), abs=1e-6)
        assert found.mean == pytest.approx(np.mean(np.diag(cosines)), abs=1e-6)

    def test_more_taps_than_kernels_give_the_same_spread(self):
        a, b = normal(0, 5, 49), normal(1, 5, 49)
        doubled = kernel_similarity(np.pad(a, ((0, 0), (0, 1))), np.pad(b, ((0, 0), (0, 1))))
        assert kernel_similarity(a, b).null_deviation == pytest.approx(
            doubled.null_deviation, rel=1e-5
        )
        assert kernel_similarity(a[:, :3], b[:, :3]).null_deviation > 0

    def test_random_directions(self):
        n, d = 4000, 9
        found = kernel_similarity(normal(0, n, d), normal(1, n, d))
        assert found.null_deviation == pytest.approx(1 / math.sqrt(n * d), rel=0.03)
        assert abs(found.z) < 4
        assert not is_related(found)

    def test_equal_and_opposite(self):
        a = normal(0, 100, 9)
        assert kernel_similarity(a, a).mean == pytest.approx(1, abs=1e-6)
        assert kernel_similarity(a, 3 * a).low == pytest.approx(1, abs=1e-6)
        assert kernel_similarity(a, -a).mean == pytest.approx(-1, abs=1e-6)
        assert is_related(kernel_similarity(a, a))
        assert not is_related(kernel_similarity(a, -a))

    def test_the_low_quantile_sees_a_few_that_changed(self):
        a = normal(0, 100, 9)
        b = a.copy()
        b[:10] = -b[:10]
        assert kernel_similarity(a, b).low == pytest.approx(-1, abs=1e-6)

    def test_a_common_mean_is_chance(self):
        a, b = normal(0, 500, 9) + 3, normal(1, 500, 9) + 3
        found = kernel_similarity(a, b)
        assert found.mean > 0.8
        assert found.null_mean == pytest.approx(found.mean, abs=0.02)
        assert not is_related(found)

    def test_zeros_and_what_is_not_finite_are_left_out(self):
        a, b = normal(0, 10, 9), normal(0, 10, 9)
        a[0], b[1], b[2, 3] = 0, np.inf, np.nan
        found = kernel_similarity(a, b)
        assert found.n == 7
        assert found.mean == pytest.approx(1, abs=1e-6)

    def test_extreme_scales(self):
        a = normal(0, 10, 9)
        assert kernel_similarity(a * np.float32(1e37), a * np.float32(1e-37)).mean == pytest.approx(
            1, abs=1e-5
        )

    def test_nothing_to_compare(self):
        found = kernel_similarity(np.zeros((4, 9), np.float32), normal(0, 4, 9))
        assert found.n == 0
        assert math.isnan(found.mean)
        assert not is_related(found)
        assert math.isnan(kernel_similarity(normal(0, 1, 9), normal(1, 1, 9)).z)


class TestMatching:
    def test_content_finds_the_partner(self):
        weights = [normal(seed, 8, 8, 3, 3) for seed in range(4)]
        noisy = [w + 0.3 * normal(9, 8, 8, 3, 3) for w in weights]
        order = [2, 0, 3, 1]
        first = np.stack([signature(w) for w in weights])
        second = np.stack([signature(noisy[i]) for i in order])
        assert sorted(by_content(first, second)) == [(0, 1), (1, 3), (2, 0), (3, 2)]

    def test_content_leaves_strangers_alone(self):
        first, second = (
            np.stack([signature(normal(10 * k + seed, 8, 8, 3, 3)) for seed in range(3)])
            for k in (1, 2)
        )
        assert by_content(first, second) == []

    def test_a_signature_is_small_and_spread_over_the_weight(self):
        weight = normal(0, 100, 10, 3, 3)
        found = signature(weight)
        assert found.shape == (256, 9)
        np.testing.assert_array_equal(found[[0, -1]], weight.reshape(-1, 9)[[0, -1]])
        assert signature(weight[:2, :3]).shape == (6, 9)

    @pytest.mark.parametrize("noise", [0.0, 0.05])
    def test_reordered_channels_are_found(self, noise):
        rng = np.random.default_rng(5)
        b = normal(0, 32, 24, 3, 3)
        outputs, inputs = rng.permutation(32), rng.permutation(24)
        a = b[outputs][:, inputs] + np.float32(noise) * normal(1, 32, 24, 3, 3)
        found = channel_order(a, b)
        assert found is not None
        np.testing.assert_array_equal(found[0], outputs)
        np.testing.assert_array_equal(found[1], inputs)

    @pytest.mark.parametrize("shape", [(32, 24, 3, 3), (32, 1, 3, 3), (8, 8, 3, 3)])
    def test_strangers_have_no_order(self, shape):
        assert channel_order(normal(0, *shape), normal(1, *shape)) is None

    @pytest.mark.parametrize("scale", [0, 1e38, 1e-38, np.nan, np.inf])
    def test_extreme_weights_raise_no_warning(self, scale):
        a, b = normal(0, 32, 24, 3, 3), normal(1, 32, 24, 3, 3) / 10
        assert channel_order(a, (b * scale).astype(np.float32)) is None
        assert channel_order(a[:, :0], b[:, :0]) is None


class TestHost:
    @pytest.mark.slow
    def test_histogram_and_basis_are_those_of_the_device(self):
        a, b = normal(0, 3000, 9), normal(1, 2000, 9) + 1
        sets = [host_normalize(x) for x in (a, b)]
        basis = fit_basis(merge_moments(*map(host_set_moments, sets)))
        edges = fixed_edges(9)
        for raw, normalized in zip((a, b), sets, strict=True):
            np.testing.assert_allclose(normalized, normalize(jnp.asarray(raw)), rtol=1e-6)
            coefficients = (normalized - np.float32(basis.mean)) @ np.float32(basis.components).T
            expected = histogram(jnp.asarray(coefficients), edges)
            counts = host_counts(normalized, basis, edges)
            assert np.abs(counts - np.asarray(expected)).sum() <= 10  # values on an edge
            assert counts.sum() == raw.size

    def test_drift_is_kernel_drift(self):
        from jfilters.shift import drift, probability

        a, b = normal(0, 3000, 9), normal(1, 2000, 9) + 1
        sets = [host_normalize(x) for x in (a, b)]
        basis = fit_basis(merge_moments(*map(host_set_moments, sets)))
        edges = fixed_edges(9)
        p, q = (probability(host_counts(x, basis, edges), edges) for x in sets)
        found = float(drift(p, q, np.asarray(basis.variance_ratio)))
        assert found == pytest.approx(kernel_drift(a, b), rel=1e-2)

    def test_degenerate_sets(self):
        rows = np.array([[0, 0], [np.nan, 1], [np.inf, 0], [2, -4]], np.float32)
        np.testing.assert_array_equal(host_normalize(rows), [[0, 0], [0.5, -1]])
        assert host_set_moments(rows[:0]).count == 0
