"""Null distributions against brute force, closed forms and SciPy; p-values that are what they claim."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from jfilters.shift import (
    METRICS,
    drift,
    holm,
    null_level,
    population_null,
    probability,
    sampling_null,
)
from jfilters.shift.internal import histogram_statistic, large_sample_null, metric_matrix

D, BINS = 3, 8
EDGES = np.linspace(-2, 2, BINS + 1)
RATIO = np.array([0.6, 0.3, 0.1])
OF_HISTOGRAMS = [name for name, metric in METRICS.items() if metric.reads == "histogram"]


def models(n, seed, spread=1.0, shift=0.0, kernels=200):
    """Histograms of models, each with a distribution of its own around a common one."""
    rng = np.random.default_rng(seed)
    centers = (EDGES[1:] + EDGES[:-1]) / 2
    own = shift + 0.3 * rng.normal(size=(n, D, 1))
    shares = np.exp(-((centers - own) ** 2) / spread)
    shares /= shares.sum(axis=-1, keepdims=True)
    return rng.multinomial(kernels, shares).reshape(n, -1).astype(float)


def value(first, second, name="drift"):
    p, q = (probability(rows.sum(axis=0).reshape(D, BINS), EDGES) for rows in (first, second))
    return metric_matrix(name, np.stack([p, q]), RATIO, EDGES)[0, 1]


def null(rows, in_first, *, strata=None, permutations=1000, seed=0, statistic=None):
    statistic = histogram_statistic("drift", RATIO, EDGES) if statistic is None else statistic
    return population_null(
        np.random.default_rng(seed),
        rows,
        np.asarray(in_first, bool),
        statistic,
        strata=None if strata is None else np.asarray(strata),
        permutations=permutations,
    )


class TestStatistic:
    @pytest.mark.parametrize("name", OF_HISTOGRAMS)
    def test_is_the_metric_of_every_pair_of_sums(self, name):
        first, second = models(6, 0), models(6, 1, shift=0.4)
        first[2], second[3] = 0, 0  # an empty group has equal probabilities
        got = histogram_statistic(name, RATIO, EDGES)(first, second)
        expected = [value(a[None], b[None], name) for a, b in zip(first, second, strict=True)]
        np.testing.assert_allclose(got, expected, rtol=1e-9)

    def test_of_bins_of_unequal_widths(self):
        edges = np.array([-2, -1, -0.9, 0, 0.1, 1, 1.5, 1.6, 2])
        first, second = models(1, 0), models(1, 1)
        p, q = (probability(x.reshape(D, BINS), edges) for x in (first, second))
        got = histogram_statistic("drift", RATIO, edges)(first, second)
        assert got[0] == pytest.approx(float(drift(p, q, RATIO)), rel=1e-10)


class TestSamplingNull:
    POOLED = models(20, 0).sum(axis=0).reshape(D, BINS)

    def drawn(self, name="drift", sizes=(3000.0, 5000.0), replicates=400):
        rng = np.random.default_rng(0)
        return sampling_null(rng, name, self.POOLED, sizes, RATIO, EDGES, replicates=replicates)

    def test_of_drift_is_the_null_level(self):
        sizes = (300_000.0, 500_000.0)
        found, level = self.drawn(sizes=sizes), null_level(*sizes, np.full(D, BINS), RATIO)
        assert found.mean == pytest.approx(level, rel=0.1)
        form = large_sample_null(sizes, self.POOLED, RATIO)
        assert form.mean == pytest.approx(level)
        assert found.mean == pytest.approx(form.mean, rel=0.1)
        assert found.quantile95 == pytest.approx(form.quantile95, rel=0.1)

    @pytest.mark.parametrize("name", OF_HISTOGRAMS)
    @pytest.mark.parametrize("sizes", [(60.0, 90.0), (2000.0, 1500.0)])
    def test_is_that_of_drawn_kernels(self, name, sizes):
        found = self.drawn(name, sizes, replicates=1000)
        rng = np.random.default_rng(1)
        shares = self.POOLED / self.POOLED.sum(axis=1, keepdims=True)
        values = [
            value(*(rng.multinomial(int(n), shares).reshape(1, -1) for n in sizes), name)
            for _ in range(300)
        ]
        error = 5 * np.std(values) / np.sqrt(300)
        assert found.mean == pytest.approx(np.mean(values), abs=error)
        assert found.quantile95 == pytest.approx(np.quantile(values, 0.95), rel=0.25)

    def test_same_seed_same_numbers(self):
        assert self.drawn(replicates=20) == self.drawn(replicates=20)

    def test_large_sample_form_of_one_component_is_a_chi_square(self):
        one = self.POOLED[:1]
        found = large_sample_null((10.0, 30.0), one, np.ones(1))
        expected = scipy.stats.chi2.ppf(0.95, BINS - 1) * (1 / 10 + 1 / 30)
        assert found.quantile95 == pytest.approx(expected, rel=0.005)

    def test_one_bin_has_no_chance(self):
        one = np.zeros((D, BINS))
        one[:, 2] = 5
        found = large_sample_null((10.0, 30.0), one, RATIO)
        assert (found.mean, found.quantile95) == (0, 0)


class TestPopulationNull:
    def test_enumeration_is_brute_force(self):
        rows = np.concatenate([models(3, 0), models(4, 1, shift=0.4)])
        observed = value(rows[:3], rows[3:])
        values = [
            value(rows[list(chosen)], rows[[i for i in range(7) if i not in chosen]])
            for chosen in itertools.combinations(range(7), 3)
        ]
        found = null(rows, np.arange(7) < 3)
        assert found.exact
        assert found.p == np.mean(np.array(values) >= observed * (1 - 1e-9))
        assert found.smallest == 1 / 35

    def test_enumeration_within_strata_is_brute_force(self):
        rows = np.concatenate([models(5, 0), models(3, 1, shift=0.4)])
        in_first = np.array([1, 0, 1, 0, 0, 1, 0, 0], bool)
        strata = np.array([4, 4, 2, 2, 2, 9, 9, 1])
        values = []
        for a, b, c in itertools.product((0, 1), (2, 3, 4), (5, 6)):
            chosen = np.isin(np.arange(8), (a, b, c))
            values.append(value(rows[chosen], rows[~chosen]))
        found = null(rows, in_first, strata=strata)
        observed = value(rows[in_first], rows[~in_first])
        assert found.p == np.mean(np.array(values) >= observed * (1 - 1e-9))
        assert found.smallest == 1 / 12

    def test_swapping_equal_groups_is_no_other_split(self):
        # All but one of the six splits come twice, so that p is never below 2 / 6.
        rows = np.concatenate([models(2, 0), models(2, 1, shift=2)])
        found = null(rows, [1, 1, 0, 0])
        assert (found.p, found.smallest) == (1 / 3, 1 / 3)

    def test_random_splits_agree_with_all_of_them(self):
        rows = np.concatenate([models(6, 0), models(6, 1, shift=0.15)])
        exact = null(rows, np.arange(12) < 6, permutations=1000)
        drawn = null(rows, np.arange(12) < 6, permutations=900)
        assert exact.exact
        assert not drawn.exact
        assert drawn.smallest == 1 / 901
        assert drawn.p == pytest.approx(exact.p, abs=0.05)

    def test_counts_itself(self):
        rows = np.concatenate([models(20, 0), models(20, 1, shift=3)])
        assert null(rows, np.arange(40) < 20, permutations=99).p == 1 / 100

    def test_splits_keep_sizes_and_strata(self):
        strata = np.repeat([0, 1, 2], [3, 4, 2])
        in_first = np.array([1, 0, 0, 1, 1, 0, 0, 0, 0], bool)
        seen = []

        def statistic(first, second):
            assert len(np.unique(first + second, axis=0)) == 1
            seen.append(first)
            return first @ np.arange(9.0)

        null(np.eye(9), in_first, strata=strata, permutations=17, statistic=statistic)
        labels = np.concatenate(seen[1:])
        for stratum, size in ((0, 1), (1, 2), (2, 0)):
            assert (labels[:, strata == stratum].sum(axis=1) == size).all()
        seen.clear()
        null(np.eye(9)[:7], in_first[:7], strata=strata[:7], permutations=18, statistic=statistic)
        assert len(np.unique(np.concatenate(seen[1:]), axis=0)) == math.comb(3, 1) * math.comb(4, 2)

    def test_drawn_splits_are_equally_likely(self):
        seen = []

        def statistic(first, second):
            seen.append(first)
            return first[:, 0]

        splits = []
        for seed in range(200):
            seen.clear()
            null(np.eye(6), np.arange(6) < 3, permutations=19, seed=seed, statistic=statistic)
            splits.append(np.concatenate(seen[1:]))
        _, counts = np.unique(np.concatenate(splits), axis=0, return_counts=True)
        assert len(counts) == 20
        assert scipy.stats.chisquare(counts).pvalue > 0.01

    @pytest.mark.parametrize("units", [1, 2])
    def test_one_against_one_has_no_p(self, units):
        found = null(models(2, 0), np.arange(2) < units)
        assert found.p is None
        assert "no other way to split" in found.reason

    def test_p_is_uniform_where_models_are_exchangeable(self):
        p = [
            null(models(12, seed), np.arange(12) < 5, permutations=99, seed=seed).p
            for seed in range(200)
        ]
        assert scipy.stats.kstest(p, "uniform").pvalue > 0.01
        assert np.mean(np.array(p) <= 0.05) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 200)

    def test_kernels_as_units_would_call_every_pair_of_models_shifted(self):
        # Why whole models are dealt: the sampling null takes what makes models differ for a shift.
        rows = models(12, 0)
        chance = sampling_null(
            np.random.default_rng(0),
            "drift",
            rows.sum(axis=0).reshape(D, BINS),
            (1000.0, 1400.0),
            RATIO,
            EDGES,
        )
        assert value(rows[:5], rows[5:]) > chance.quantile95
        assert null(rows, np.arange(12) < 5).p > 0.05

    def test_shifted_groups_are_found(self):
        p = [
            null(
                np.concatenate([models(8, seed), models(8, seed + 100, shift=0.6)]),
                np.arange(16) < 8,
                permutations=199,
            ).p
            for seed in range(20)
        ]
        assert np.mean(np.array(p) <= 0.05) >= 0.9

    def test_pairing_finds_what_models_hide(self):
        # Models far from each other, each with a small shift of the same sign inside.
        rng = np.random.default_rng(0)
        centers = (EDGES[1:] + EDGES[:-1]) / 2
        own = rng.normal(size=(10, 1, 1)) + np.array([0.0, 0.25])[None, :, None]
        shares = np.exp(-((centers - own) ** 2))
        counts = 500 * shares / shares.sum(axis=-1, keepdims=True)
        rows = np.tile(counts.reshape(20, BINS), (1, D))
        in_first = np.arange(20) % 2 == 0
        assert null(rows, in_first).p > 0.2
        assert null(rows, in_first, strata=np.repeat(np.arange(10), 2)).p < 0.01

    def test_weights_that_are_no_integers_leave_empty_bins_empty(self):
        rows = np.random.default_rng(0).uniform(size=(10, 40))
        rows[5:, :20] = 0

        def statistic(first, second):
            alone = first[:, -1] == 5
            assert (second[alone][:, :20] == 0).all()
            assert (second[~alone][:, :-1] > 0).all()
            return first[:, 0]

        carriers = (np.arange(10) < 5).astype(float)
        null(np.column_stack([rows, carriers]), np.arange(10) < 5, statistic=statistic)


class TestHolm:
    def test_by_hand(self):
        # 4 x 0.01, 3 x 0.02, 2 x 0.03 raised to what came before, 1 x 0.9.
        np.testing.assert_allclose(holm([0.03, 0.01, 0.9, 0.02]), [0.06, 0.04, 0.9, 0.06])

    def test_loop(self):
        p = np.random.default_rng(0).uniform(size=15) ** 3
        expected, running = np.empty(15), 0.0
        for rank, i in enumerate(np.argsort(p)):
            running = max(running, (15 - rank) * p[i])
            expected[i] = min(running, 1)
        np.testing.assert_allclose(holm(p), expected)

    def test_none_and_one(self):
        assert holm([]).shape == (0,)
        assert holm([0.2]) == [0.2]
