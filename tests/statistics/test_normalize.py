import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.statistics import max_abs, normalize


@pytest.mark.parametrize("d", [1, 9, 65])
def test_divides_each_kernel_by_its_largest_magnitude(d):
    kernels = np.random.default_rng(0).normal(size=(50, d)).astype(np.float32)
    expected = kernels / np.abs(kernels).max(axis=1, keepdims=True)
    got = normalize(jnp.asarray(kernels))
    np.testing.assert_allclose(got, expected, rtol=3e-7)
    np.testing.assert_array_equal(np.abs(got) == 1, np.abs(expected) == 1)


def test_is_idempotent():
    once = normalize(jnp.asarray(np.random.default_rng(0).normal(size=(50, 9)), jnp.float32))
    np.testing.assert_array_equal(normalize(once), once)


def test_zero_kernel_stays_zero():
    np.testing.assert_array_equal(normalize(jnp.zeros((2, 9))), np.zeros((2, 9)))


def test_float16_stays_float16():
    assert normalize(jnp.ones((2, 9), jnp.float16)).dtype == jnp.float16


def test_max_abs_looks_at_valid_kernels_alone():
    kernels = jnp.asarray([[1.0, -3.0], [2.0, 0.0], [9.0, jnp.nan]])
    assert max_abs(kernels, where=jnp.asarray([True, True, False])) == 3


def test_max_abs_of_nothing_is_zero():
    assert max_abs(jnp.ones((2, 9)), where=jnp.zeros(2, bool)) == 0
    assert max_abs(jnp.ones((0, 9))) == 0
