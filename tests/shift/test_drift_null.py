"""The sampling null of drift: its formula against drawing, and both against kernels of known laws."""

import numpy as np
import pytest
import scipy.stats

from jfilters.shift import drift, drift_null, null_level, probability, sampling_null
from jfilters.shift._drift_null import _gamma_95, _moments

from .units import BINS, EDGES, RATIO, D, histograms

EPS = float(np.finfo(np.float32).eps)


def pooled(size):
    return histograms(0, [size] * 20).sum(axis=0)


def plain_moments(counts, n, m):
    """Mean and variance of drift where each bin's kernels fall to the first set by themselves."""
    width, share, mean, variance = EDGES[1] - EDGES[0], n / (n + m), 0.0, 0.0
    for a, row in zip(RATIO, counts, strict=True):
        shared = []
        for c in row.tolist():
            k = np.arange(c + 1)
            weight = scipy.stats.binom.pmf(k, c, share)
            x, y = (np.where(t > 0, t / (s * width), EPS) for t, s in ((k, n), (c - k, m)))
            term = np.where(c > 0, (x - y) * np.log(x / y) * width, 0)
            own = weight @ term
            p = c / row.sum()
            mean += a * (1 - p) * own
            spread = weight @ (term - own) ** 2
            variance += a**2 * (1 - p) ** 2 * spread
            shared.append(p * np.sqrt(spread))
        variance += a**2 * (sum(shared) ** 2 - sum(x**2 for x in shared))
    return mean, variance


@pytest.mark.parametrize("sizes", [(40, 60), (100, 100), (30, 2_000), (5, 300), (3_000, 1_000)])
def test_formula_is_the_sum_over_all_ways_to_deal_a_bin(sizes):
    rng = np.random.default_rng(1)
    counts = np.stack([rng.multinomial(sum(sizes), row / row.sum()) for row in pooled(500)])
    mean, variance = _moments(counts.astype(float), sizes, RATIO, EDGES)
    expected = plain_moments(counts, *sizes)
    # Bins of more than 100 kernels in the smaller set follow their limit.
    assert mean == pytest.approx(expected[0], rel=0.01)
    assert variance == pytest.approx(expected[1], rel=0.05)


def test_the_order_of_sizes_does_not_matter():
    counts = pooled(100)
    assert drift_null(counts, (300, 1_700), RATIO, EDGES) == drift_null(
        counts, (1_700, 300), RATIO, EDGES
    )


@pytest.mark.parametrize("sizes", [(100, 100), (100, 1_000), (1_000, 1_000), (20_000, 5_000)])
def test_formula_is_what_dealing_gives(sizes):
    rng = np.random.default_rng(0)
    counts = np.stack([rng.multinomial(sum(sizes), row / row.sum()) for row in pooled(500)])
    drawn = sampling_null(rng, "drift", counts, sizes, RATIO, EDGES, replicates=2_000)
    known = drift_null(counts, sizes, RATIO, EDGES)
    assert known.mean == pytest.approx(drawn.mean, rel=0.02)
    assert known.quantile95 == pytest.approx(drawn.quantile95, rel=0.05)


@pytest.mark.parametrize("sizes", [(100, 100), (300, 3_000), (10_000, 10_000)])
def test_two_samples_of_one_law_pass_the_quantile_once_in_twenty(sizes):
    probabilities = pooled(10_000) / pooled(10_000).sum(axis=-1, keepdims=True)
    rng, passed, debiased = np.random.default_rng(0), [], []
    for _ in range(400):
        first, second = (rng.multinomial(n, probabilities) for n in sizes)
        value = float(drift(*(probability(x, EDGES) for x in (first, second)), RATIO))
        null = drift_null(first + second, sizes, RATIO, EDGES)
        passed.append(value > null.quantile95)
        debiased.append(value - null.mean)
    assert 0.02 <= np.mean(passed) <= 0.085  # 0.05 by 3 standard errors
    assert abs(np.mean(debiased)) <= 4 * np.std(debiased) / 20


def test_goes_to_its_limit_for_many_kernels():
    sizes = (3 * 10**7, 10**7)
    level = null_level(*sizes, np.full(D, BINS), RATIO)
    assert drift_null(pooled(2 * 10**6), sizes, RATIO, EDGES).mean == pytest.approx(level, rel=1e-6)


def test_one_bin_varies_in_nothing():
    counts = np.zeros((D, BINS), int)
    counts[:, 2] = 40
    null = drift_null(counts, (10, 30), RATIO, EDGES)
    assert (null.mean, null.quantile95) == (0, 0)


@pytest.mark.parametrize("sizes", [(0, 5), (5, -1), (float("nan"), 3.0)])
def test_sizes_have_to_be_positive(sizes):
    with pytest.raises(ValueError, match="expected two sets of at least one kernel"):
        drift_null(pooled(10), sizes, RATIO, EDGES)


@pytest.mark.parametrize("shape", [3, 10, 100, 1_000])
def test_quantile_is_that_of_the_gamma_distribution(shape):
    expected = scipy.stats.gamma.ppf(0.95, shape, scale=2)
    assert _gamma_95(2.0 * shape, 4.0 * shape) == pytest.approx(expected, rel=2e-3)
