"""Comparisons of samples: laws that all of them share, and references in SciPy, scikit-learn and loops."""

import sys

import numpy as np
import pytest
import scipy.optimize
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics.pairwise

from jfilters.errors import MissingExtraError
from jfilters.shift import _sinkhorn as sinkhorn_module
from jfilters.shift import energy_distance, mmd, sinkhorn_divergence, sliced_wasserstein
from jfilters.shift.internal import median_distance

D = 3
METRICS = {
    "sliced-wasserstein": lambda *sets: sliced_wasserstein(np.random.default_rng(0), *sets),
    "energy": energy_distance,
    "mmd": lambda *sets: mmd(np.random.default_rng(0), *sets, bandwidth=1.0),
    "sinkhorn": sinkhorn_divergence,
}
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def some(n, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, D)) + shift


def weights(n, seed):
    return np.random.default_rng(seed).gamma(1, 1, size=n)


@every_metric
def test_laws(metric):
    x, y = some(30, 0), some(40, 1, shift=0.5)
    value = metric(x, y)
    assert value > 0
    assert metric(x, x) == pytest.approx(0, abs=1e-6)
    assert metric(y, x) == pytest.approx(value, rel=1e-5)
    assert metric(x + 3, y + 3) == pytest.approx(value, rel=1e-4)
    assert metric(x, y[::-1].copy()) == pytest.approx(value, rel=1e-5)


@every_metric
def test_a_point_of_weight_two_is_two_points(metric):
    x, y = some(30, 0), some(40, 1, shift=0.5)
    twice = np.concatenate([x, x[:10]])
    heavy = np.where(np.arange(30) < 10, 2.0, 1.0)
    assert metric(x, y, heavy, np.ones(40)) == pytest.approx(metric(twice, y), rel=1e-4)
    # Only shares count.
    assert metric(x, y, 7 * heavy, np.ones(40)) == pytest.approx(metric(twice, y), rel=1e-4)


@every_metric
def test_further_is_more(metric):
    x = some(40, 0)
    values = [metric(x, some(40, 1, shift)) for shift in (0.0, 0.5, 2.0)]
    assert values == sorted(values)


@every_metric
def test_no_kernels_are_refused(metric):
    with pytest.raises(ValueError, match="at least one kernel, got none"):
        metric(some(3, 0), some(0, 1))


@every_metric
def test_all_points_one(metric):
    assert metric(np.ones((4, D)), np.ones((5, D))) == pytest.approx(0, abs=1e-6)


def test_sliced_wasserstein_is_scipys_along_every_direction():
    x, y, a, b = some(20, 0), some(30, 1), weights(20, 2), weights(30, 3)
    directions = np.random.default_rng(7).normal(size=(D, 64))
    directions /= np.linalg.norm(directions, axis=0)
    expected = np.mean([scipy.stats.wasserstein_distance(x @ u, y @ u, a, b) for u in directions.T])
    got = sliced_wasserstein(np.random.default_rng(7), x, y, a, b)
    assert got == pytest.approx(expected, rel=1e-9)


def test_energy_in_one_dimension_is_scipys_squared():
    x, y, a, b = some(20, 0)[:, :1], some(30, 1)[:, :1], weights(20, 2), weights(30, 3)
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0], a, b) ** 2
    assert energy_distance(x, y, a, b) == pytest.approx(expected, rel=1e-9)


def test_energy_over_more_rows_than_are_held_at_once():
    x, y = some(1500, 0), some(900, 1, shift=0.2)
    cdist = scipy.spatial.distance.cdist
    expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert energy_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_mmd_goes_to_that_over_all_pairs():
    x, y, bandwidth = some(60, 0), some(50, 1, shift=0.7), 1.3
    kernel = [
        sklearn.metrics.pairwise.rbf_kernel(u, v, gamma=1 / (2 * bandwidth**2)).mean()
        for u, v in ((x, x), (y, y), (x, y))
    ]
    expected = kernel[0] + kernel[1] - 2 * kernel[2]
    rng = np.random.default_rng(0)
    got = mmd(rng, x, y, bandwidth=bandwidth, features=50_000)
    assert got == pytest.approx(expected, rel=0.05)


def test_median_distance():
    points = some(400, 0)
    expected = np.median(scipy.spatial.distance.pdist(points))
    assert median_distance(np.random.default_rng(0), points) == pytest.approx(expected, rel=0.02)
    assert median_distance(np.random.default_rng(0), np.array([[0.0], [2.0]])) == 2


def entropic_cost(x, y, epsilon):
    """Entropic transport of uniform samples, dual form, by a loop in float64."""
    cost = scipy.spatial.distance.cdist(x, y, "sqeuclidean")
    log_a, log_b = -np.log(len(x)), -np.log(len(y))
    f, g = np.zeros(len(x)), np.zeros(len(y))
    for _ in range(400):
        f = -epsilon * scipy.special.logsumexp((g - cost) / epsilon + log_b, axis=1)
        g = -epsilon * scipy.special.logsumexp((f[:, None] - cost) / epsilon + log_a, axis=0)
    return f.mean() + g.mean()


def test_sinkhorn_is_that_of_a_loop():
    x, y, epsilon = some(25, 0), some(30, 1, shift=0.5), 0.5
    own = entropic_cost(x, x, epsilon) + entropic_cost(y, y, epsilon)
    expected = entropic_cost(x, y, epsilon) - own / 2
    # The solver stops at a tolerance of 1e-3 in the marginals.
    assert sinkhorn_divergence(x, y, epsilon=epsilon) == pytest.approx(expected, rel=0.02)


def test_sinkhorn_goes_to_the_squared_wasserstein_distance():
    x, y = some(25, 0), some(25, 1, shift=2.0)
    cost = scipy.spatial.distance.cdist(x, y, "sqeuclidean")
    expected = cost[scipy.optimize.linear_sum_assignment(cost)].mean()
    assert sinkhorn_divergence(x, y, epsilon=0.05) == pytest.approx(expected, rel=0.02)


def test_without_ott_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ott.geometry.pointcloud", None)
    sinkhorn_module._solver.cache_clear()
    with pytest.raises(MissingExtraError, match=r"needs the package ott-jax.*'\.\[transport\]'"):
        sinkhorn_divergence(some(3, 0), some(3, 1))
    sinkhorn_module._solver.cache_clear()
