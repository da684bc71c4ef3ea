import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.statistics import sparse_mask, sparsity

# With a largest weight of 8, the limit at eps = 1/8 is exactly 1.
KERNELS = jnp.asarray([[8.0, 0.0], [1.0, -1.0], [0.5, -0.5], [0.0, 0.0]])


def test_against_numpy():
    rng = np.random.default_rng(0)
    kernels = (rng.normal(size=(500, 9)) * 10 ** rng.uniform(-4, 0, (500, 1))).astype(np.float32)
    largest = np.abs(kernels.astype(np.float64)).max(axis=1)
    expected = np.mean(largest < 0.01 * largest.max())
    assert 0.2 < expected < 0.8
    got = sparsity(jnp.asarray(kernels))
    assert float(got) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("strict", "expected"), [(True, 0.5), (False, 0.75)])
def test_the_limit_itself(strict, expected):
    assert sparsity(KERNELS, eps=0.125, strict=strict) == expected


def test_the_layer_decides_not_the_valid_part_of_a_mask():
    mask = sparse_mask(KERNELS, jnp.asarray(100.0))
    np.testing.assert_array_equal(mask, [False, False, True, True])


@pytest.mark.parametrize("strict", [True, False])
def test_all_zero_layer_is_all_sparse(strict):
    assert sparsity(jnp.zeros((4, 9)), strict=strict) == 1


def test_no_kernel_has_no_sparsity():
    assert jnp.isnan(sparsity(KERNELS, where=jnp.zeros(4, bool)))
