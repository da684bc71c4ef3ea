import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jfilters.statistics import merge_moments, moments, sparse_mask, variance_entropy
from jfilters.statistics.internal import entropy_from_moments, entropy_of_covariance, host_moments

jitted = jax.jit(variance_entropy)


def sample(n=400, d=9, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d))).astype(np.float32)


def reference(kernels):
    kernels = np.asarray(kernels, np.float64)
    values = np.linalg.svd(kernels - kernels.mean(axis=0), compute_uv=False) ** 2
    return scipy.stats.entropy(values, base=10)


def of(kernels):
    return float(jitted(jnp.asarray(kernels)))


@pytest.mark.parametrize(("n", "d", "offset"), [(400, 9, 0), (9, 9, 0), (400, 25, 0), (400, 9, 30)])
def test_against_svd(n, d, offset):
    kernels = sample(n, d) + np.float32(offset)
    assert of(kernels) == pytest.approx(reference(kernels), rel=1e-5)


def test_equal_variance_in_every_direction_is_the_maximum():
    cube = np.concatenate([np.eye(9), -np.eye(9)]).astype(np.float32)
    assert of(cube) == pytest.approx(np.log10(9), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales(scale):
    assert of(sample() * np.float32(scale)) == pytest.approx(of(sample()), rel=1e-5)


@pytest.mark.parametrize("n", [2, 3, 1000, 100_000])
def test_constant_layer_is_exactly_zero(n):
    assert of(np.full((n, 9), 0.1, np.float32)) == 0
    assert of(np.tile(sample(1), (n, 1))) == 0


def test_all_zero_layer_is_zero():
    assert of(np.zeros((50, 9), np.float32)) == 0


def test_kernels_on_one_line_are_zero():
    assert of(np.outer(np.linspace(-1, 1, 50), np.arange(9)).astype(np.float32)) < 1e-4


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_kernels_have_none(n):
    assert np.isnan(of(sample()[:n]))


def test_clean_variant_drops_sparse_kernels():
    kernels = jnp.asarray(np.concatenate([sample(), sample(100, seed=1) * np.float32(1e-4)]))
    valid = jnp.ones(500, bool) & ~sparse_mask(kernels, jnp.max(jnp.abs(kernels)))
    kept = np.asarray(kernels)[np.asarray(valid)]
    assert len(kept) <= 400
    assert float(jitted(kernels, where=valid)) == pytest.approx(reference(kept), rel=1e-5)


def test_from_merged_moments_on_the_host():
    halves = [host_moments(moments(jnp.asarray(half))) for half in np.split(sample(), [150])]
    got = entropy_from_moments(merge_moments(*halves))
    assert got.dtype == np.float64
    assert float(got) == pytest.approx(reference(sample()), rel=1e-5)


def test_merged_constant_blocks_are_zero():
    blocks = [host_moments(moments(jnp.full((n, 9), 0.1))) for n in (70_001, 130_000)]
    assert entropy_from_moments(merge_moments(*blocks)) == 0


def test_of_covariance_stacks():
    covariances = np.stack([np.eye(9), np.zeros((9, 9)), np.diag(np.arange(9.0))])
    expected = [np.log10(9), 0, scipy.stats.entropy(np.arange(9), base=10)]
    np.testing.assert_allclose(entropy_of_covariance(covariances), expected, atol=1e-14)
