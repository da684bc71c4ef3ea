"""Metrics as functions of sums, and the sampling null against drawn kernels."""

import dataclasses

import numpy as np
import pytest

from jfilters.shift import (
    METRICS,
    drift,
    drift_null,
    holm,
    probability,
    sampling_null,
)
from jfilters.shift._redeal import redealt
from jfilters.shift.internal import DealtSets, Space, metric_matrix

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


class TestStatistic:
    @pytest.mark.parametrize("name", OF_HISTOGRAMS)
    def test_is_the_metric_of_every_pair_of_sums(self, name):
        first, second = models(6, 0), models(6, 1, shift=0.4)
        first[2], second[3] = 0, 0  # an empty group has equal probabilities
        got = METRICS[name].statistic(Space(EDGES, RATIO, np.eye(D)))(first, second)
        expected = [value(a[None], b[None], name) for a, b in zip(first, second, strict=True)]
        np.testing.assert_allclose(got, expected, rtol=1e-9)

    def test_of_bins_of_unequal_widths(self):
        edges = np.array([-2, -1, -0.9, 0, 0.1, 1, 1.5, 1.6, 2])
        first, second = models(1, 0), models(1, 1)
        p, q = (probability(x.reshape(D, BINS), edges) for x in (first, second))
        got = METRICS["drift"].statistic(Space(edges, RATIO, np.eye(D)))(first, second)
        assert got[0] == pytest.approx(float(drift(p, q, RATIO)), rel=1e-10)


class TestSamplingNull:
    POOLED = models(20, 0).sum(axis=0).reshape(D, BINS)

    def drawn(self, name="drift", sizes=(3000.0, 5000.0), replicates=400):
        rng = np.random.default_rng(0)
        return sampling_null(rng, name, self.POOLED, sizes, RATIO, EDGES, replicates=replicates)

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

    def test_of_drift_is_its_formula(self):
        sizes = (1000, 3000)
        drawn, known = self.drawn(sizes=sizes), drift_null(self.POOLED, sizes, RATIO, EDGES)
        assert drawn.mean == pytest.approx(known.mean, rel=0.03)
        assert drawn.quantile95 == pytest.approx(known.quantile95, rel=0.06)

    def test_no_more_kernels_than_both_samples_are_dealt_whole(self):
        # One kernel in every bin: with replacement, many bins would have two and as many none.
        counts, dealt = np.ones((1, 8), int), []
        space = Space(EDGES, np.ones(1), np.eye(1))

        def statistic(first, second):
            dealt.append(first + second)
            return first[:, 0]

        metric = dataclasses.replace(METRICS["total-variation"])
        object.__setattr__(metric, "statistic", lambda _: statistic)
        sets = DealtSets(np.array([3, 5]), np.array([True, False]), np.ones(2))
        metric.sampling_null(np.random.default_rng(0), space, counts.reshape(-1), sets)
        assert (dealt[0] == 1).all()

    def test_weighted_sets_keep_their_sizes(self):
        sizes, weights = np.array([20.0, 500.0, 300.0]), np.array([5.0, 0.2, 1.0])
        sets = DealtSets.of(sizes, np.array([True, True, False]), weights)
        pooled = np.stack([np.random.default_rng(0).multinomial(820, [1 / 8] * 8)] * D)
        first, second = redealt(np.random.default_rng(0), pooled, sets, 30)
        np.testing.assert_allclose(first.sum(axis=-1), 20 * 5 + 500 * 0.2)
        np.testing.assert_allclose(second.sum(axis=-1), 300)
        assert sets.is_weighted
        assert sets.effective == pytest.approx((200**2 / (20 * 25 + 500 * 0.04), 300))

    def test_sets_of_alike_weights_are_one(self):
        sizes, weights = np.full(50, 10.0), np.repeat([1.0, 1.1, 8.0, 8.1, 3.0], 10)
        sets = DealtSets.of(sizes, np.arange(50) < 40, weights)
        assert len(sets.sizes) == 3
        assert sets.sides == (400, 100)

    @pytest.mark.parametrize("models", [[100, 1_000, 10_000], [3_000] * 6])
    def test_weighted_models_of_one_law_pass_the_quantile_once_in_twenty(self, models):
        rng, passed = np.random.default_rng(0), []
        sizes = np.array(models * 2, float)
        in_first = np.arange(len(sizes)) < len(models)
        shares = self.POOLED / self.POOLED.sum(axis=-1, keepdims=True)
        sets = DealtSets.of(sizes, in_first, 1 / sizes)
        space, metric = Space(EDGES, RATIO, np.eye(D)), METRICS["drift"]
        for _ in range(120):
            counts = np.stack([rng.multinomial(int(n), shares) for n in sizes])
            sums = [np.tensordot(1 / sizes[x], counts[x], 1) for x in (in_first, ~in_first)]
            p, q = (probability(x, EDGES) for x in sums)
            pooled = counts.sum(axis=0).reshape(-1)
            null = metric.sampling_null(rng, space, pooled, sets, replicates=100)
            passed.append(drift(p, q, RATIO) > null.quantile95)
        assert 0 < np.mean(passed) <= 0.11


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
