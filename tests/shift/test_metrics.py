"""Every metric of histograms obeys the same laws, and agrees with SciPy in float64."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats

from jfilters.shift import (
    METRICS,
    components_of,
    drift_components,
    metric_components,
    metric_matrix,
    probability,
)

D, BINS = 3, 8
EDGES = np.linspace(-2, 2, BINS + 1)
CENTERS = (EDGES[1:] + EDGES[:-1]) / 2
RATIO = np.array([0.6, 0.3, 0.1])
OF_HISTOGRAMS = [name for name, metric in METRICS.items() if metric.reads == "histogram"]
counts = hnp.arrays(np.int64, (D, BINS), elements=st.integers(0, 10**6))
every_metric = pytest.mark.parametrize("name", OF_HISTOGRAMS)

REFERENCES = {
    "drift": lambda p, q: (scipy.special.rel_entr(p, q) + scipy.special.rel_entr(q, p)).sum(),
    "kl": lambda p, q: scipy.stats.entropy(p, q),
    "kl-reverse": lambda p, q: scipy.stats.entropy(q, p),
    "jensen-shannon": lambda p, q: scipy.spatial.distance.jensenshannon(p, q) ** 2,
    "total-variation": lambda p, q: scipy.spatial.distance.cityblock(p, q) / 2,
    "hellinger": lambda p, q: scipy.spatial.distance.euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2),
    "wasserstein": lambda p, q: scipy.stats.wasserstein_distance(CENTERS, CENTERS, p, q),
}


def some(m, seed=0):
    rng = np.random.default_rng(seed)
    return probability(rng.poisson(rng.gamma(0.5, 30, size=(m, D, BINS))), EDGES)


def one(name, p, q):
    return components_of(name)(p, q, EDGES)


@every_metric
@hypothesis.settings(max_examples=25)
@hypothesis.given(a=counts, b=counts)
def test_laws(name, a, b):
    p, q = probability(a, EDGES), probability(b, EDGES)
    value = one(name, p, q)
    assert value.shape == (D,)
    assert (value >= 0).all()
    assert (one(name, p, p) == 0).all()
    if METRICS[name].symmetric:
        np.testing.assert_allclose(value, one(name, q, p), rtol=1e-12, atol=1e-13)
    # Along every component as seen from its other end.
    mirrored = one(name, p[:, ::-1], q[:, ::-1])
    np.testing.assert_allclose(value, mirrored, rtol=1e-9, atol=1e-12)


@every_metric
def test_reference(name):
    p, q = some(2)
    expected = [REFERENCES[name](a, b) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(one(name, p, q), expected, rtol=1e-10)


@every_metric
def test_matrix_is_the_sum_of_weighted_components(name):
    p = some(5)
    shares = metric_components(name, p, RATIO, EDGES)
    assert shares.shape == (5, 5, D)
    matrix = metric_matrix(name, p, RATIO, EDGES)
    np.testing.assert_allclose(matrix, shares.sum(axis=-1), atol=1e-9)
    row, column = p[1], p[3]
    expected = sum(a * REFERENCES[name](x, y) for a, x, y in zip(RATIO, row, column, strict=True))
    assert matrix[1, 3] == pytest.approx(expected, rel=1e-9)
    assert (np.diagonal(matrix) == 0).all()
    assert np.allclose(matrix, matrix.T) == METRICS[name].symmetric


@every_metric
def test_a_matrix_of_no_sets_is_empty(name):
    assert metric_matrix(name, some(0), RATIO, EDGES).shape == (0, 0)


def test_the_asymmetric_ones_are_each_other_turned():
    p, q = some(2)
    np.testing.assert_array_equal(one("kl", p, q), one("kl-reverse", q, p))
    assert not np.allclose(one("kl", p, q), one("kl-reverse", p, q))
    np.testing.assert_allclose(one("kl", p, q) + one("kl-reverse", p, q), one("drift", p, q))


def test_drift_is_that_of_drift_components():
    p, q = some(2)
    np.testing.assert_allclose(one("drift", p, q) * RATIO, drift_components(p, q, RATIO))


@pytest.mark.parametrize(
    ("name", "most"), [("jensen-shannon", np.log(2)), ("total-variation", 1), ("hellinger", 1)]
)
def test_nothing_in_common_gives_the_bound(name, most):
    left, right = np.zeros((2, D, BINS), np.int64)
    left[:, 0], right[:, -1] = 10, 10
    value = one(name, probability(left, EDGES), probability(right, EDGES))
    np.testing.assert_allclose(value, most, rtol=2e-3)
    assert (value <= most).all()


def test_wasserstein_counts_how_far_in_coefficients():
    near, far, here = np.zeros((3, D, BINS), np.int64)
    here[:, 0], near[:, 1], far[:, 7] = 9, 9, 9
    p, q, r = (probability(x, EDGES) for x in (here, near, far))
    np.testing.assert_allclose(one("wasserstein", p, q), 0.5, atol=1e-5)
    np.testing.assert_allclose(one("wasserstein", p, r), 3.5, atol=1e-5)


@pytest.mark.parametrize("name", ["frechet", "mmd", "distance"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=f"expected a metric of histograms, one of drift.*{name}"):
        metric_matrix(name, some(2), RATIO, EDGES)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is(metric):
    assert all((metric.unit, metric.direction, metric.null))
    assert (metric.components is not None) == (metric.reads == "histogram")
