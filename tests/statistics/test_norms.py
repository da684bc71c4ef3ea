import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import statistics

norms = jax.jit(statistics.norms)

NAMES = ("l1", "l2", "l1_standardized", "l2_standardized")


def reference(kernels):
    flat = np.asarray(kernels, np.float64).ravel()
    standardized = (flat - flat.mean()) / flat.std(ddof=1)
    return [np.linalg.norm(x, order) for x in (flat, standardized) for order in (1, 2)]


def of(kernels):
    got = norms(jnp.asarray(kernels))
    return [float(getattr(got, name)) for name in NAMES]


@pytest.mark.parametrize("n", [1, 100, 100_000])
def test_against_float64(n):
    kernels = (np.random.default_rng(0).normal(size=(n, 9)) + 0.3).astype(np.float32)
    np.testing.assert_allclose(of(kernels), reference(kernels), rtol=1e-5)


def test_large_weights_do_not_overflow():
    kernels = np.random.default_rng(0).normal(size=(10, 9)).astype(np.float32)
    np.testing.assert_allclose(
        of(kernels * np.float32(1e30)), reference(kernels.astype(np.float64) * 1e30), rtol=1e-5
    )


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_constant_layer_has_no_standardized_norms(value):
    l1, l2, *standardized = of(np.full((10_000, 9), value, np.float32))
    assert l1 == pytest.approx(abs(value) * 90_000, rel=1e-5)
    assert l2 == pytest.approx(abs(value) * 300, rel=1e-5)
    assert np.isnan(standardized).all()


def test_no_weight_at_all():
    l1, l2, *standardized = of(np.zeros((0, 9), np.float32))
    assert (l1, l2) == (0, 0)
    assert np.isnan(standardized).all()
