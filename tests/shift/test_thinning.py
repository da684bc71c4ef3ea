"""Thinning to equal numbers of kernels: laws of the draw, and the size against a plain search."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from jfilters.shift._thinning import common_size, dealt_counts

COUNTS = st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=1, max_size=5).map(
    np.array
)


@given(COUNTS, st.integers(0, 120), st.integers(0, 99))
def test_draws_no_kernel_that_is_not_there(counts, size, seed):
    drawn = dealt_counts(np.random.default_rng(seed), counts, size)
    assert (drawn >= 0).all()
    assert (drawn <= counts).all()
    np.testing.assert_array_equal(drawn.sum(axis=-1), np.minimum(size, counts.sum(axis=-1)))


def test_follows_the_hypergeometric_law():
    counts = np.array([3, 0, 5, 12])
    drawn = dealt_counts(np.random.default_rng(0), np.tile(counts, (20_000, 1)), 7)
    expected = scipy.stats.multivariate_hypergeom(counts, 7)
    np.testing.assert_allclose(drawn.mean(axis=0), expected.mean(), atol=0.04)
    np.testing.assert_allclose(np.cov(drawn.T), expected.cov(), atol=0.05)


def test_more_kernels_than_numpy_draws_from():
    counts = np.array([[3 * 10**9, 10**9, 7, 0]])
    drawn = dealt_counts(np.random.default_rng(0), counts, 10**9)
    assert drawn.sum() == 10**9
    assert (drawn <= counts).all()
    assert drawn[0, 0] == pytest.approx(750_000_000, abs=5 * np.sqrt(1e9 * 0.19))


def plain_size(sizes, group, scatter, kappa):
    errors = {}
    for n0 in set(sizes.tolist()):
        counts = [np.sum((sizes >= n0) & (group == g)) for g in set(group.tolist())]
        fewest = [min(2, np.sum(group == g)) for g in set(group.tolist())]
        if all(a >= b for a, b in zip(counts, fewest, strict=True)):
            errors[n0] = (scatter + kappa / n0) * sum(1 / count for count in counts)
    return min(errors, key=lambda n0: (errors[n0], n0))


@pytest.mark.parametrize("scatter", [0.0, 0.001, 0.1])
def test_common_size_leaves_the_means_least_uncertain(scatter):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        group = np.concatenate([[0, 1], rng.integers(0, 2, 9)])
        sizes = np.round(10 ** rng.uniform(2, 5, len(group))).astype(int)
        assert common_size(sizes, group, scatter, 3.0) == plain_size(sizes, group, scatter, 3.0)


def test_every_group_keeps_two_parts():
    sizes, group = np.array([10, 20, 10**6, 10**6]), np.array([0, 0, 1, 1])
    assert common_size(sizes, group, 0.0, 1.0) == 10
    assert common_size(sizes[1:], group[1:], 0.0, 1.0) == 20
