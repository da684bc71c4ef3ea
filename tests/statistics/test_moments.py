import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import statistics
from jfilters.statistics import Moments, covariance, merge_moments
from jfilters.statistics.internal import host_moments

moments = jax.jit(statistics.moments)


def sample(n, d=9, offset=0.0, seed=0):
    spread = np.linspace(0.5, 2, d)
    return (np.random.default_rng(seed).normal(size=(n, d)) * spread + offset).astype(np.float32)


def reference(kernels):
    kernels = np.asarray(kernels, np.float64)
    centered = kernels - kernels.mean(axis=0)
    return Moments(np.asarray(float(len(kernels))), kernels.mean(axis=0), centered.T @ centered)


def of(kernels):
    return moments(jnp.asarray(kernels))


def assert_moments(got, expected, rtol=1e-5):
    for name in ("count", "mean", "scatter"):
        a, b = np.asarray(getattr(got, name)), np.asarray(getattr(expected, name))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4])
def test_against_float64(offset):
    kernels = sample(20_000, offset=offset)
    assert_moments(of(kernels), reference(kernels))


@pytest.mark.parametrize("every", [2, 64, 100])
def test_offset_with_any_mask(every):
    kernels = sample(6400, offset=1e4)
    for valid in (np.arange(6400) % every != 0, np.arange(6400) % every == every - 1):
        got = moments(jnp.asarray(kernels), where=jnp.asarray(valid))
        assert_moments(got, reference(kernels[valid]))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_merged_parts_equal_the_whole(backend):
    kernels = sample(600, offset=3)
    record = host_moments if backend == "numpy" else lambda part: part
    parts = [record(of(part)) for part in np.split(kernels, [1, 5, 5, 300])]
    merged = functools.reduce(merge_moments, parts)
    assert isinstance(merged.mean, np.ndarray if backend == "numpy" else jax.Array)
    assert_moments(merged, reference(kernels))


def test_merging_in_float64_loses_nothing():
    halves = [reference(half) for half in np.split(sample(600, offset=1e4), 2)]
    assert_moments(merge_moments(*halves), reference(sample(600, offset=1e4)), rtol=1e-12)


def test_merging_is_symmetric_and_empty_is_neutral():
    a, b, empty = (host_moments(of(sample(n, seed=n))) for n in (40, 70, 0))
    assert_moments(merge_moments(a, b), merge_moments(b, a), rtol=1e-13)
    assert_moments(merge_moments(a, empty), a, rtol=0)
    assert_moments(merge_moments(empty, a), a, rtol=0)
    assert_moments(merge_moments(empty, empty), empty, rtol=0)


def test_merges_stacked_records():
    kernels = jnp.asarray(sample(60)).reshape(3, 20, 9)
    stacked = jax.vmap(moments)(kernels)
    merged = merge_moments(host_moments(stacked), host_moments(stacked))
    for index in range(3):
        twice = np.concatenate([kernels[index], kernels[index]])
        assert_moments(jax.tree.map(lambda leaf, i=index: leaf[i], merged), reference(twice))


def test_covariance_is_unbiased():
    kernels = sample(300)
    np.testing.assert_allclose(covariance(of(kernels)), np.cov(kernels.T), atol=1e-5)
    np.testing.assert_allclose(
        covariance(reference(kernels)), np.cov(kernels.T.astype(np.float64)), atol=1e-12
    )


@pytest.mark.parametrize("n", [0, 1])
def test_covariance_of_fewer_than_two_is_zero(n):
    got = of(sample(n))
    assert got.count == n
    np.testing.assert_array_equal(covariance(got), np.zeros((9, 9)))


def test_equal_kernels_do_not_vary():
    kernels = np.tile(sample(1), (100_000, 1))
    np.testing.assert_allclose(of(kernels).scatter, 0, atol=1e-6)
