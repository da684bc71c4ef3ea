"""The null of an axis against plain loops, and its p-values against what they claim."""

import itertools

import numpy as np
import pytest

from jfilters.shift import null_level, probability
from jfilters.shift.internal import metric_matrix, redrawn_null, relabeled_null

from .test_significance import BINS, EDGES, RATIO, D, models, value


def matrices(sums):
    probabilities = probability(sums.reshape(*sums.shape[:2], D, BINS), EDGES)
    return np.stack([metric_matrix("drift", p, RATIO, EDGES) for p in probabilities])


def null(rows, side, *, strata=None, permutations=200, seed=0):
    strata = np.zeros(len(rows), int) if strata is None else np.asarray(strata)
    rng = np.random.default_rng(seed)
    asked = {"strata": strata, "permutations": permutations}
    return relabeled_null(rng, rows, np.asarray(side), matrices, **asked)


def median(rows, side):
    groups = [rows[np.asarray(side) == i] for i in sorted(set(side))]
    return np.median([value(a, b) for a, b in itertools.combinations(groups, 2)])


class TestAxes:
    def test_is_what_all_relabelings_give(self):
        rows, side = models(6, 0), [0, 0, 1, 1, 2, 2]
        every = [median(rows, labels) for labels in sorted(set(itertools.permutations(side)))]
        found = null(rows, side, permutations=4000)
        assert found.mean == pytest.approx(np.mean(every), rel=0.02)
        assert found.quantile95 == pytest.approx(np.quantile(every, 0.95), rel=0.03)
        share = np.mean(np.array(every) >= median(rows, side) * (1 - 1e-9))
        assert found.p == pytest.approx(share, abs=0.03)

    def test_a_shift_has_a_small_p(self):
        rows = np.concatenate([models(6, i, shift=i) for i in range(3)])
        assert null(rows, np.repeat([0, 1, 2], 6)).p <= 2 / 201

    def test_p_is_uniform_where_there_is_no_shift(self):
        p = [null(models(9, seed), [0, 1, 2] * 3, permutations=99).p for seed in range(60)]
        assert np.mean(p) == pytest.approx(0.5, abs=0.12)
        assert np.mean(np.array(p) <= 0.2) == pytest.approx(0.2, abs=0.14)

    def test_labels_stay_in_their_stratum(self):
        low, high = models(6, 0), models(6, 1, shift=3)
        rows, strata = np.concatenate([low, high]), np.repeat([5, 2], 6)
        side = [0, 1] * 6
        found = null(rows, side, strata=strata, permutations=2000)
        halves = [half for half in itertools.product([0, 1], repeat=6) if sum(half) == 3]
        every = [median(rows, (*a, *b)) for a, b in itertools.product(halves, halves)]
        assert found.mean == pytest.approx(np.mean(every), rel=0.1)
        assert found.mean < null(rows, side, permutations=500).mean / 3


@pytest.mark.parametrize(
    ("side", "strata"),
    [([0, 1, 2, 3], None), ([0, 0, 1, 1], [0, 0, 1, 1]), ([0, 1, 1, 0], [0, 1, 1, 0])],
)
def test_labels_that_cannot_be_dealt_otherwise(side, strata):
    found = null(models(4, 0), side, strata=strata)
    assert (found.mean, found.quantile95, found.p) == (None, None, None)
    assert "no other way to split" in found.reason


def test_same_seed_same_null():
    rows, side = models(8, 0), [0, 1, 2, 3] * 2
    assert null(rows, side, seed=1) == null(rows, side, seed=1) != null(rows, side, seed=2)


class TestRedrawn:
    SIZES = np.array([300.0, 2000.0, 50_000.0])
    SHARES = models(30, 0).sum(axis=0).reshape(D, BINS)

    def drawn(self, seed, shares=None):
        rng = np.random.default_rng(seed)
        shares = [self.SHARES] * 3 if shares is None else shares
        return np.array(
            [
                [rng.multinomial(int(n), row / row.sum()) for row in own]
                for n, own in zip(self.SIZES, shares, strict=True)
            ],
            float,
        )

    def null(self, sums, replicates=200):
        rng = np.random.default_rng(0)
        return redrawn_null(rng, "drift", sums, self.SIZES, RATIO, EDGES, replicates=replicates)

    def test_p_is_uniform_whatever_the_sizes(self):
        p = [self.null(self.drawn(seed), 99).p for seed in range(80)]
        assert np.mean(p) == pytest.approx(0.5, abs=0.11)
        assert np.mean(np.array(p) <= 0.2) == pytest.approx(0.2, abs=0.13)

    def test_its_mean_is_the_null_level(self):
        pairs = itertools.combinations(self.SIZES.tolist(), 2)
        levels = [null_level(a, b, np.full(D, BINS), RATIO) for a, b in pairs]
        assert self.null(self.drawn(0)).mean == pytest.approx(np.median(levels), rel=0.15)

    def test_a_shift_has_the_smallest_p(self):
        shares = [models(30, 0, shift=x).sum(axis=0).reshape(D, BINS) for x in (0, 0.5, 1)]
        assert self.null(self.drawn(0, shares)).p == 1 / 201
