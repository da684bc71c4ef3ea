import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jfilters.shift import drift, drift_components, drift_matrix, probability

D, BINS = 3, 7
EDGES = np.linspace(-1, 1, BINS + 1)
RATIO = np.array([0.6, 0.3, 0.1])
counts = hnp.arrays(np.int64, (D, BINS), elements=st.integers(0, 10**9))


def random_probabilities(m, d=9, bins=70, seed=0):
    rng = np.random.default_rng(seed)
    histograms = rng.poisson(rng.gamma(0.5, 100, size=(m, d, bins)))
    return probability(histograms, np.linspace(-3.3, 3.3, bins + 1))


def reference(p, q, ratio):
    both = scipy.special.rel_entr(p, q) + scipy.special.rel_entr(q, p)
    return float(np.sum(ratio * both.sum(axis=-1)))


@hypothesis.given(counts)
def test_probabilities_are_positive_and_sum_to_one(histogram):
    p = probability(histogram, EDGES)
    assert p.dtype == np.float64
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-14)


def test_probability_by_hand():
    # Densities 0.25 / 0.5, eps, 0.75 / 1 over widths 0.5, 0.5, 1.
    eps = np.finfo(np.float32).eps
    density = np.array([0.5, eps, 0.75])
    got = probability(np.array([[1, 0, 3]]), np.array([0.0, 0.5, 1.0, 2.0]))
    np.testing.assert_allclose(got[0], density / density.sum(), rtol=1e-15)


def test_empty_histogram_has_equal_probabilities():
    np.testing.assert_allclose(probability(np.zeros((D, BINS), np.int64), EDGES), 1 / BINS)


def test_probability_refuses_edges_that_do_not_match():
    with pytest.raises(ValueError, match="expected 8 edges for 7 bins, got 7"):
        probability(np.zeros((D, BINS), np.int64), EDGES[1:])


def test_probability_in_jax():
    histogram = np.random.default_rng(0).poisson(3, size=(4, D, BINS))
    got = jax.jit(lambda h: probability(h, EDGES))(jnp.asarray(histogram, jnp.int32))
    np.testing.assert_allclose(got, probability(histogram, EDGES), rtol=1e-6)


@hypothesis.given(counts, counts)
def test_drift_laws(a, b):
    p, q = probability(a, EDGES), probability(b, EDGES)
    assert drift(p, p, RATIO) == 0
    assert drift(p, q, RATIO) == drift(q, p, RATIO)
    assert (drift_components(p, q, RATIO) >= 0).all()
    assert float(drift(p, q, RATIO)) == pytest.approx(reference(p, q, RATIO), abs=1e-10)


@hypothesis.given(counts, st.integers(2, 1000))
def test_drift_sees_shares_not_counts(histogram, times):
    p, q = probability(histogram, EDGES), probability(histogram * times, EDGES)
    assert float(drift(p, q, RATIO)) == pytest.approx(0, abs=1e-12)


def test_drift_is_the_sum_of_its_components():
    p, q = random_probabilities(2)
    ratio = np.linspace(0.2, 0.02, 9)
    shares = drift_components(p, q, ratio)
    assert shares.shape == (9,)
    assert float(drift(p, q, ratio)) == pytest.approx(shares.sum(), rel=1e-14)
    assert float(drift(p, q, 2 * ratio)) == pytest.approx(2 * shares.sum(), rel=1e-14)


def test_drift_stacks_jits_maps_and_differentiates():
    p, q = random_probabilities(4), random_probabilities(4, seed=1)
    ratio = np.full(9, 1 / 9)
    expected = [reference(a, b, ratio) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(drift(p, q, ratio), expected, rtol=1e-12)
    p, q = jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32)
    np.testing.assert_allclose(jax.jit(drift)(p, q, ratio), expected, rtol=1e-4)
    mapped = jax.vmap(drift, in_axes=(0, 0, None))(p, q, ratio)
    np.testing.assert_allclose(mapped, expected, rtol=1e-4)
    assert jnp.isfinite(jax.grad(lambda p: jnp.sum(drift(p, q, ratio)))(p)).all()


def test_matrix_equals_pairs():
    p, ratio = random_probabilities(12), np.linspace(0.2, 0.02, 9)
    expected = [[reference(a, b, ratio) for a in p] for b in p]
    matrix = drift_matrix(p, ratio)
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diagonal(matrix), 0)


def test_matrix_of_near_twins_is_never_negative():
    p = np.tile(random_probabilities(1), (30, 1, 1))
    p *= 1 + 1e-15 * np.random.default_rng(0).normal(size=p.shape)
    matrix = drift_matrix(p, np.full(9, 1 / 9))
    assert (matrix >= 0).all()
    assert matrix.max() < 1e-12


@pytest.mark.parametrize("m", [0, 1])
def test_matrix_of_few(m):
    np.testing.assert_array_equal(
        drift_matrix(random_probabilities(m), np.ones(9)), np.zeros((m, m))
    )
