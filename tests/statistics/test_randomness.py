import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jfilters.statistics import randomness_threshold
from jfilters.statistics._randomness import (
    SIGMOID_CENTER,
    SIGMOID_HEIGHT,
    SIGMOID_OFFSET,
    SIGMOID_SLOPE,
)
from jfilters.statistics.internal import entropy_of_covariance


def random_entropies(rng, n, d, layers):
    """Variance entropies of layers of `n` standard normal kernels."""
    if n <= d:
        kernels = rng.normal(size=(layers, n, d))
        kernels -= kernels.mean(axis=1, keepdims=True)
        return entropy_of_covariance(kernels.transpose(0, 2, 1) @ kernels)
    # Bartlett's decomposition draws the scatter itself, without the kernels.
    factor = np.tril(rng.normal(size=(layers, d, d)), -1)
    diagonal = np.arange(d)
    factor[:, diagonal, diagonal] = np.sqrt(rng.chisquare(n - 1 - diagonal, size=(layers, d)))
    return entropy_of_covariance(factor @ factor.transpose(0, 2, 1))


def sigmoid(x, height, center, slope, offset):
    return height / (1 + np.exp(-slope * (x - center))) + offset


def test_constants_refit():
    # The published fit is to the smallest entropy among random layers; a thousand layers a size.
    rng, sizes = np.random.default_rng(0), np.arange(1, 11)
    smallest = [
        np.mean([random_entropies(rng, 2**k, 9, 1000).min() for _ in range(5)]) for k in sizes
    ]
    published = SIGMOID_HEIGHT, SIGMOID_CENTER, SIGMOID_SLOPE, SIGMOID_OFFSET
    refit, _ = scipy.optimize.curve_fit(sigmoid, sizes, smallest, p0=published)
    np.testing.assert_allclose(refit, published, rtol=0.25)
    np.testing.assert_allclose(sigmoid(sizes, *refit), sigmoid(sizes, *published), atol=0.05)
    np.testing.assert_allclose(randomness_threshold(2 ** sizes[4:], 9), smallest[4:], atol=0.02)


@pytest.mark.parametrize(
    ("d", "times", "error"), [(4, 4, 2e-3), (4, 16, 1e-4), (25, 4, 3e-4), (25, 16, 1e-4)]
)
def test_closed_form_is_the_mean_of_random_layers(d, times, error):
    entropies = random_entropies(np.random.default_rng(0), times * d, d, 400_000 // d)
    noise = 4 * entropies.std() / np.sqrt(len(entropies))
    assert abs(entropies.mean() - randomness_threshold(times * d, d)) < error + noise
    assert noise < 5e-4


def test_published_values():
    # The first three digits by hand from the four published constants.
    np.testing.assert_allclose(
        randomness_threshold(np.array([9, 64, 4096]), 9), [0.552, 0.906, 0.951], atol=6e-4
    )


@pytest.mark.parametrize("d", [2, 4, 9, 25])
def test_rises_with_n_towards_its_maximum(d):
    thresholds = randomness_threshold(2 ** np.arange(6, 21), d)
    assert np.all(np.diff(thresholds) > 0)
    assert thresholds[-1] == pytest.approx(np.log10(d), abs=4e-3)


@pytest.mark.parametrize(("n", "d"), [(0, 9), (8, 9), (24, 25), (100, 1)])
def test_undefined_below_d_kernels(n, d):
    assert np.isnan(randomness_threshold(n, d))


def test_defined_from_d_kernels():
    assert np.isfinite(randomness_threshold(9, 9))
    assert np.isfinite(randomness_threshold(2, 2))


def test_numpy_gives_float64_and_jax_jits():
    assert randomness_threshold(64, 9).dtype == np.float64
    n = jnp.asarray([4, 9, 64])
    for d in (9, 4):
        got = jax.jit(lambda n, d=d: randomness_threshold(n, d))(n)
        np.testing.assert_allclose(got, randomness_threshold(np.asarray(n), d), rtol=1e-5)
