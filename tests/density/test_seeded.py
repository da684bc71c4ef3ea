"""Densities by an integer seed give what the functions with keys give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.density import (
    Divergences,
    FitOptions,
    TwoSampleTests,
    _classifier,
    _divergence,
    dequantize,
    fit_many,
    scores,
)
from jfilters.density.internal import (
    seeded_dequantize,
    seeded_divergences,
    seeded_fits,
    seeded_scores,
    seeded_tests,
)

SEED, OPTIONS = 3, FitOptions(layers=1, width=4, epochs=1)
KEYS = jax.random.split(jax.random.key(SEED), 3)
SETS = np.random.default_rng(0).standard_normal((2, 220, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def kernels():
    return np.stack([points for points, _ in seeded_dequantize(list(SETS), seed=SEED)])


def test_sets_are_dequantized_and_shuffled(kernels):
    with_zeros = [SETS[0], np.pad(SETS[1], ((0, 3), (0, 0)))]
    found = seeded_dequantize(with_zeros, seed=SEED)
    assert [n_zero for _, n_zero in found] == [0, 3]
    for key, raw, (points, _) in zip(jax.random.split(KEYS[0]), with_zeros, found, strict=True):
        of_noise, of_order = jax.random.split(key)
        expected = dequantize(of_noise, raw.astype(np.float64)).kernels
        order = np.random.default_rng(np.asarray(jax.random.key_data(of_order)))
        np.testing.assert_array_equal(points, np.asarray(expected)[order.permutation(220)])
    np.testing.assert_array_equal(kernels[0], found[0].kernels)


def test_fits_are_those_of_the_second_stream(kernels):
    fits = seeded_fits(kernels, seed=SEED, options=OPTIONS)
    last = np.arange(220) >= 176  # a fifth is held out
    expected = fit_many(KEYS[1], jnp.asarray(kernels), options=OPTIONS, held_out=last)
    np.testing.assert_array_equal(fits.held_out, last)
    jax.tree.map(np.testing.assert_array_equal, fits.log_prob, expected.log_prob)
    rows = SETS[0].astype(np.float64)
    values = seeded_scores(fits.density(0), rows, seed=SEED)
    np.testing.assert_array_equal(values, scores(jax.random.key(SEED), expected.density(0), rows))


def test_divergences_and_tests_have_streams_of_their_own(monkeypatch):
    square, row = np.zeros((2, 2)), np.zeros(2)
    table = Divergences(square, square, square, square, row, row)
    tests = TwoSampleTests(np.array([[0, 1]], np.int32), np.ones(1), np.ones(1), np.ones(1))
    calls = []

    def record(result):
        return lambda key, kernels, **options: calls.append((key, kernels, options)) or result

    monkeypatch.setattr(_divergence, "divergences", record(table))
    monkeypatch.setattr(_classifier, "two_sample_tests", record(tests))
    assert seeded_divergences(SETS, seed=SEED, folds=4, options=OPTIONS) is table
    assert seeded_tests(SETS, seed=SEED) is tests
    for (key, kernels, _), expected in zip(calls, KEYS[1:], strict=True):
        assert (jax.random.key_data(key) == jax.random.key_data(expected)).all()
        assert isinstance(kernels, jax.Array)
        np.testing.assert_array_equal(kernels, SETS)
    (*_, of_divergences), (*_, of_tests) = calls
    fold = of_divergences.pop("fold")
    assert of_divergences == {"folds": 4, "options": OPTIONS}
    # Folds are consecutive, and the last of three consecutive parts is judged by a classifier.
    np.testing.assert_array_equal(fold, np.tile(np.arange(4).repeat(55), (2, 1)))
    np.testing.assert_array_equal(of_tests["judged"], np.arange(220) >= 146)
