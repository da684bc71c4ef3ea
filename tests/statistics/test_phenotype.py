import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jfilters.statistics import PHENOTYPES, phenotype
from jfilters.statistics._phenotype import SHAPE_LIMIT, SPIKES_SHARE

from .planes import GENERATORS


def plane(kind: str, seed: int, n: int) -> np.ndarray:
    return GENERATORS[kind](np.random.default_rng([seed, n]), n)


def confusion(n: int, seeds: int) -> np.ndarray:
    """Rows what was made, columns what was said, both in the order of `PHENOTYPES`."""
    found = np.zeros((4, 4), int)
    for i, kind in enumerate(PHENOTYPES):
        for seed in range(seeds):
            found[i, PHENOTYPES.index(phenotype(plane(kind, seed, n)).label)] += 1
    return found


@pytest.mark.parametrize(("n", "seeds"), [(200, 40), (1000, 20), (5000, 8), (20_000, 4)])
def test_confusion_matrix(n, seeds):
    found = confusion(n, seeds)
    assert found.sum() == 4 * seeds
    assert np.diagonal(found).min() >= 0.95 * seeds, found


@given(st.sampled_from(PHENOTYPES), st.integers(0, 20), st.floats(0, 6.28))
def test_turning_and_order_change_no_scale_free_feature_much(kind, seed, angle):
    points = plane(kind, seed, 400)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    a, b = phenotype(points).features, phenotype(points[::-1] @ turn).features
    assert b.near_zero == pytest.approx(a.near_zero, abs=0.01)
    assert b.off_center == pytest.approx(a.off_center, rel=1e-6)
    assert b.spread == pytest.approx(a.spread, rel=1e-6)
    assert b.not_gaussian == pytest.approx(a.not_gaussian, abs=0.15)


@given(st.sampled_from(PHENOTYPES), st.integers(0, 20), st.floats(0.01, 100))
def test_scale_changes_only_what_is_near_zero(kind, seed, scale):
    points = plane(kind, seed, 400)
    a, b = phenotype(points).features, phenotype(scale * points).features
    assert b.in_spots == pytest.approx(a.in_spots, abs=0.01)
    assert b.off_center == pytest.approx(a.off_center, rel=1e-6)
    assert b.not_gaussian == pytest.approx(a.not_gaussian, abs=1e-6)
    assert b.spread == pytest.approx(scale * a.spread, rel=1e-6)


def test_distance_along_the_first_axis_is_that_of_scipy():
    rng = np.random.default_rng(0)
    points = np.stack([rng.exponential(size=3000), rng.standard_normal(3000)], axis=1)
    points -= points.mean(axis=0)
    points /= points.std(axis=0)
    expected = stats.kstest(points[:, 0], "norm").statistic
    found = phenotype(points).features.not_gaussian
    assert found >= expected - 0.02
    assert found == pytest.approx(expected, abs=0.08)


def test_radius_sees_a_ring_that_no_direction_shows_as_well():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 5000)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert phenotype(ring).features.not_gaussian > 0.5


def test_the_limit_of_shape_is_that_of_two_clusters():
    half = 3.5 / 2
    x = np.linspace(-6, 6, 4001)
    mixture = (stats.norm.cdf(x - half) + stats.norm.cdf(x + half)) / 2
    distance = np.abs(mixture - stats.norm.cdf(x / math.sqrt(1 + half**2))).max()
    assert distance == pytest.approx(SHAPE_LIMIT, abs=0.003)


@pytest.mark.parametrize(("n", "share"), [(200, 0.11), (20_000, 0.03)])
def test_spots_of_a_gaussian_hold_as_much_as_is_said(n, share):
    found = [
        phenotype(np.random.default_rng(seed).standard_normal((n, 2))).features.in_spots
        for seed in range(5)
    ]
    assert np.mean(found) == pytest.approx(share, abs=0.015)
    assert max(found) < SPIKES_SHARE / 2


@pytest.mark.parametrize(
    ("points", "word", "because"),
    [
        (np.zeros((300, 2)), "point", "100% of the kernels lie within 0.25 of 0"),
        (np.ones((300, 2)), "spikes", "100% of the kernels lie in 8 spots"),
        (np.linspace([1, 1], [2, 2], 300), "symbols", "spreads off center"),
        (np.linspace([-1, -1], [1, 1], 300), "symbols", "not near a Gaussian"),
        (np.array([[3.0, 0.0]]), "spikes", "100%"),
    ],
    ids=["zeros", "copies", "line", "centered line", "one"],
)
def test_degenerate_pictures(points, word, because):
    found = phenotype(points)
    assert found.label == word
    assert because in found.reason


def test_kernels_at_the_end_of_the_range_break_nothing():
    points = plane("sun", 0, 1000)
    points[:10] = 3.3
    assert phenotype(points).label == "sun"


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.full((3, 2), np.nan)])
def test_nothing_to_classify(points):
    with pytest.raises(ValueError, match="expected finite coefficients of kernels"):
        phenotype(points)
