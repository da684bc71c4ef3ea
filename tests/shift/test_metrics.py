"""Every metric of histograms obeys the same laws, and agrees with SciPy in float64."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats

from jfilters.shift import METRICS, drift_components, frechet, probability
from jfilters.shift.internal import (
    DealtSets,
    Space,
    components_of,
    metric_components,
    metric_matrix,
)
from jfilters.statistics.internal import host_set_moments

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
    assert metric.reads in ("histogram", "moments", "sample")
    if metric.reads == "sample":
        assert (metric.form is None) != (metric.solve is None)
        assert (metric.solve is None) == (metric.no_null_reason == "")


class TestRecords:
    SPACE = Space(EDGES, RATIO, np.eye(D))
    ROWS = np.random.default_rng(0).poisson(20, size=(4, D * BINS)).astype(np.float64)

    @every_metric
    def test_histogram_rows_give_what_the_functions_give(self, name):
        metric, p = METRICS[name], probability(self.ROWS.reshape(4, D, BINS), EDGES)
        matrix = metric_matrix(name, p, RATIO, EDGES)
        np.testing.assert_allclose(metric.matrix(self.SPACE, self.ROWS), matrix)
        shares = metric.shares(self.SPACE, self.ROWS[:1], self.ROWS)
        np.testing.assert_allclose(shares.sum(axis=-1), matrix[0], atol=1e-9)
        statistic = metric.statistic(self.SPACE)(self.ROWS, self.ROWS[::-1])
        np.testing.assert_allclose(statistic, np.diagonal(matrix[:, ::-1]), atol=1e-9)

    SETS = DealtSets(np.array([60, 60]), np.array([True, False]), np.ones(2))

    def test_only_drift_without_weights_has_a_formula_for_its_null(self):
        weighted = DealtSets(np.array([60, 40, 20]), np.array([1, 0, 0], bool), np.arange(1.0, 4))
        for sets, known in ((self.SETS, ["drift"]), (weighted, [])):
            nulls = {
                name: METRICS[name].known_null(self.SPACE, self.ROWS[0], sets)
                for name in [*OF_HISTOGRAMS, "frechet"]
            }
            assert [name for name, null in nulls.items() if null] == known

    def test_moment_rows_give_frechet(self):
        rng = np.random.default_rng(1)
        sets = [rng.normal(size=(50, D)).astype(np.float32) * scale for scale in (1, 2)]
        moments = [host_set_moments(x) for x in sets]
        rows = np.stack([moment_row(x.astype(np.float64)) for x in sets])
        matrix = METRICS["frechet"].matrix(self.SPACE, rows)
        assert matrix[0, 1] == pytest.approx(float(frechet(*moments)), rel=1e-5)
        rng = np.random.default_rng(2)
        null = METRICS["frechet"].sampling_null(rng, self.SPACE, rows.sum(axis=0), self.SETS)
        assert 0 < null.mean < null.quantile95 < matrix[0, 1]


def moment_row(kernels):
    return np.concatenate([[len(kernels)], kernels.sum(axis=0), (kernels.T @ kernels).ravel()])
