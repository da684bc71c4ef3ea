"""The population null against plain loops over all relabelings, and its rates where nothing differs."""

import itertools

import numpy as np
import pytest
import scipy.stats

from jfilters.shift import METRICS, population_null
from jfilters.shift._labelings import blocks_of, labelings
from jfilters.shift._parts import features as product_features
from jfilters.shift._unit_statistic import flip_products, summed_statistic
from jfilters.shift.internal import NO_SPLIT, ONE_UNIT, ONE_VARYING, Space

from .units import EDGES, RATIO, D, features, histograms, statistic


def null(counts, group, unit=None, *, strata=None, permutations=1000, seed=0, statistic=None):
    unit = np.arange(len(counts)) if unit is None else np.asarray(unit)
    strata = None if strata is None else np.asarray(strata)
    return population_null(
        np.random.default_rng(seed),
        counts,
        unit,
        np.asarray(group),
        RATIO,
        strata=strata,
        permutations=permutations,
        statistic=statistic,
    )


def equal(counts, seed=0):
    """Units of equal size, which thinning leaves as they are."""
    return histograms(seed, [counts] * 7)


class TestStatistic:
    UNIT = np.array([0, 0, 1, 1, 2, 3, 4, 4, 4])
    GROUP = np.array([0, 1, 1, 2, 0, 2, 0, 1, 2])

    def test_is_the_mean_over_pairs_of_parts(self):
        counts = histograms(0, range(100, 1000, 100))
        rows = product_features(counts, RATIO)
        np.testing.assert_allclose(rows @ rows.T, features(counts) @ features(counts).T)
        labels = np.stack([self.GROUP, np.roll(self.GROUP, 0)])
        labels[1, :2] = labels[1, 1::-1]  # one unit's parts change sides
        values = summed_statistic(rows, labels, self.UNIT)
        expected = [statistic(rows, self.UNIT, group) for group in labels]
        np.testing.assert_allclose(values, expected)

    def test_batches_change_nothing(self, monkeypatch):
        rows = product_features(histograms(0, range(100, 1000, 100)), RATIO)
        labels = np.stack([np.random.default_rng(i).permutation(self.GROUP) for i in range(9)])
        whole = summed_statistic(rows, labels, np.arange(9))
        monkeypatch.setattr("jfilters.shift._unit_statistic._BATCH", 20)
        np.testing.assert_allclose(summed_statistic(rows, labels, np.arange(9)), whole)

    def test_signs_of_two_groups_are_swaps(self):
        rows = product_features(histograms(0, range(100, 900, 100)), RATIO)
        unit, group = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
        products = flip_products(rows, unit, group)
        for signs in itertools.product([1.0, -1.0], repeat=4):
            swapped = np.where(np.repeat(signs, 2) > 0, group, 1 - group)
            expected = statistic(rows, unit, swapped)
            assert np.array(signs) @ products @ np.array(signs) == pytest.approx(expected)

    def test_signs_of_many_groups_give_the_observed_sum(self):
        rows = product_features(histograms(0, range(100, 1000, 100)), RATIO)
        unit, group = np.repeat(np.arange(3), 3), np.tile([0, 1, 2], 3)
        products = flip_products(rows, unit, group)
        assert products.sum() == pytest.approx(statistic(rows, unit, group))


class TestLabelings:
    def test_every_labeling_once(self):
        unit = np.array([0, 0, 1, 2, 3, 4])
        group = np.array([0, 1, 0, 0, 1, 1])
        labels, exact = labelings(
            np.random.default_rng(0), group, blocks_of(unit, np.zeros(6, int)), 12
        )
        assert exact
        assert len(labels) == len(np.unique(labels, axis=0)) == 2 * 6
        assert (labels[:, :2].sum(axis=1) == 1).all()
        assert (labels[:, 2:].sum(axis=1) == 2).all()

    def test_drawn_labelings_stay_in_their_blocks_and_are_equally_likely(self):
        group, strata = np.array([0, 0, 1, 1, 0, 1]), np.array([5, 5, 5, 5, 2, 2])
        blocks = blocks_of(np.arange(6), strata)
        assert not labelings(np.random.default_rng(0), group, blocks, 11)[1]
        drawn = np.concatenate(
            [labelings(np.random.default_rng(i), group, blocks, 11)[0] for i in range(200)]
        )
        rows, counts = np.unique(drawn, axis=0, return_counts=True)
        assert len(rows) == 12
        assert scipy.stats.chisquare(counts).pvalue > 0.01

    def test_three_labels(self):
        group = np.array([0, 0, 1, 2])
        labels, _ = labelings(np.random.default_rng(0), group, [np.arange(4)], 100)
        assert len(np.unique(labels, axis=0)) == len(labels) == 12


class TestExact:
    def test_is_the_share_of_all_splits(self):
        counts = equal(500)
        rows, group = features(counts), np.array([0, 0, 0, 1, 1, 1, 1])
        values = [
            statistic(rows, np.arange(7), np.where(np.isin(np.arange(7), chosen), 0, 1))
            for chosen in itertools.combinations(range(7), 3)
        ]
        found = null(counts, group)
        observed = statistic(rows, np.arange(7), group)
        assert found.exact
        assert found.p == np.mean(np.array(values) >= observed - 1e-9)
        assert (found.smallest, found.kernels, found.units_out) == (1 / 35, 500, 0)

    def test_units_in_both_groups_swap_their_parts(self):
        counts = histograms(0, [100, 5_000] * 4)
        unit, group = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
        rows = features(counts)
        values = []
        for swaps in itertools.product([False, True], repeat=4):
            values.append(statistic(rows, unit, np.where(np.repeat(swaps, 2), 1 - group, group)))
        found = null(counts, group, unit)
        assert found.p == np.mean(np.array(values) >= values[0] - 1e-9)
        assert (found.smallest, found.kernels) == (2 / 16, 0)

    def test_strata_are_permuted_by_themselves(self):
        found = null(equal(500), [0, 1, 0, 1, 1, 0, 1], strata=[4, 4, 2, 2, 2, 9, 9])
        assert (found.exact, found.smallest) == (True, 1 / 12)

    def test_a_mix_takes_both_actions(self):
        unit, group = [0, 0, 1, 2, 3, 4, 5], [0, 1, 0, 0, 1, 1, 1]
        found = null(equal(500), group, unit, permutations=20)
        assert (found.exact, found.smallest, found.kernels) == (True, 1 / 20, 500)

    def test_six_units_in_both_groups_answer_alone(self):
        counts = histograms(0, [300] * 16)
        unit = [*np.repeat(np.arange(6), 2), 6, 7, 8, 9]
        group = [*np.tile([0, 1], 6), 0, 0, 1, 1]
        found = null(counts, group, unit)
        assert (found.smallest, found.kernels) == (2 / 64, 0)
        with_others = null(counts[2:], group[2:], np.array(unit[2:]))
        assert with_others.kernels == 300

    def test_units_of_few_kernels_stay_out(self):
        counts = histograms(0, [5_000] * 8 + [3])
        found = null(counts, [0, 1] * 4 + [0])
        assert (found.kernels, found.units_out) == (5_000, 1)

    def test_three_groups(self):
        counts, group = equal(500)[:6], np.array([0, 0, 1, 1, 2, 2])
        rows = features(counts)
        values = [
            statistic(rows, np.arange(6), np.array(labels))
            for labels in sorted(set(itertools.permutations(group.tolist())))
        ]
        found = null(counts, group)
        observed = statistic(rows, np.arange(6), group)
        assert found.p == np.mean(np.array(values) >= observed - 1e-9)


class TestNoTest:
    @pytest.mark.parametrize(
        ("group", "unit", "reason"),
        [
            ([0, 1], [0, 1], ONE_UNIT),
            ([0, 1, 2], [0, 1, 2], ONE_UNIT),
            ([0, 1], [0, 0], ONE_VARYING),
            ([0, 1, 0], [0, 0, 1], ONE_VARYING),
            ([0, 0, 0], [0, 1, 2], NO_SPLIT),
        ],
    )
    def test_reasons(self, group, unit, reason):
        found = null(equal(300)[: len(group)], group, unit)
        assert (found.p, found.smallest, found.reason) == (None, 1.0, reason)

    def test_nothing_matches(self):
        found = null(equal(300)[:4], [0, 0, 1, 1], strata=[0, 0, 1, 1])
        assert (found.p, found.reason) == (None, NO_SPLIT)

    def test_empty_layers_are_no_unit(self):
        counts = equal(300)[:3].copy()
        counts[2] = 0
        assert null(counts, [0, 1, 1]).reason == ONE_UNIT

    def test_one_against_many_has_a_p(self):
        assert null(equal(300), [0] + [1] * 6).smallest == pytest.approx(1 / 7)


class TestRates:
    """100 or 200 draws each: bounds are 3 standard errors. `make calibrate` does more."""

    def rate(self, design, draws=120):
        p = [design(seed).p for seed in range(draws)]
        return np.mean(np.array(p) <= 0.05)

    @pytest.mark.parametrize("scatter", [0.0, 0.3])
    @pytest.mark.parametrize(
        "sizes", [([6_000] * 8, [300] * 8), ([300] * 3, [6_000] * 12), ([6_000] * 3, [300] * 12)]
    )
    def test_sizes_that_go_with_the_label_make_no_p(self, sizes, scatter):
        def design(seed):
            counts = histograms(seed, np.concatenate(sizes), scatter=scatter)
            group = np.repeat([0, 1], [len(x) for x in sizes])
            return null(counts, group, permutations=99, seed=seed)

        assert self.rate(design) <= 0.11

    def test_steps_of_runs_are_one_unit(self):
        def layers(seed):
            counts = np.repeat(histograms(seed, [20_000] * 8), 4, axis=0) // 4
            return counts, np.repeat([0, 1], 16), np.repeat(np.arange(8), 4)

        assert self.rate(lambda seed: null(*layers(seed), permutations=99)) <= 0.11
        alone = self.rate(lambda seed: null(*layers(seed)[:2], permutations=99))
        assert alone > 0.4

    def test_small_first_layers_make_no_p(self):
        def design(seed):
            counts = histograms(seed, np.tile([120, 9_000], 8))
            counts[1::2] = histograms(seed, np.tile([120, 9_000], 8))[1::2]
            return null(counts, np.tile([0, 1], 8), np.repeat(np.arange(8), 2), permutations=99)

        assert self.rate(design) <= 0.11

    def test_shifts_are_found(self):
        def design(seed):
            first, second = histograms(seed, [500] * 8), histograms(seed + 99, [500] * 8, shift=0.6)
            counts = np.concatenate([first, second])
            return null(counts, np.repeat([0, 1], 8), permutations=99, seed=seed)

        assert self.rate(design, 20) >= 0.9

    def test_a_shift_inside_units_is_found_though_they_are_far_apart(self):
        rng = np.random.default_rng(0)
        own = rng.normal(size=10)
        counts = np.stack(
            [histograms(0, [2_000], shift=x + y, scatter=0.0)[0] for x in own for y in (0.0, 0.2)]
        )
        group = np.tile([0, 1], 10)
        assert null(counts, group).p > 0.2
        assert null(counts, group, np.repeat(np.arange(10), 2)).p < 0.01


class TestOtherMetrics:
    def test_read_thinned_sums(self):
        counts = histograms(0, [300] * 4 + [9_000] * 4)
        space = Space(EDGES, RATIO, np.eye(D))
        of_two = METRICS["wasserstein"].statistic(space)
        sizes = []

        def statistic(sums):
            sizes.append(sums[:, :, : len(EDGES) - 1].sum(axis=-1))
            return of_two(sums[:, 0], sums[:, 1])

        found = null(counts, [0, 1] * 4, statistic=statistic)
        assert (np.concatenate(sizes) == 300 * 4).all()
        assert (found.kernels, found.exact, found.smallest) == (300, True, 2 / 70)

    def test_counts_itself(self):
        counts = np.concatenate([histograms(0, [300] * 20), histograms(1, [300] * 20, shift=3)])
        assert null(counts, np.repeat([0, 1], 20), permutations=99).p == 1 / 100
