import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from jfilters.statistics import Moments, fit_basis, moments, normalize, project


def sample(n=500, d=9):
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 0.3
    return normalize(jnp.asarray(kernels, jnp.float32))


def of(kernels):
    return moments(kernels)


def test_against_pca():
    kernels = sample()
    basis, pca = fit_basis(of(kernels)), PCA().fit(np.asarray(kernels, np.float64))
    signs = np.sign(np.sum(pca.components_ * basis.components, axis=1))
    np.testing.assert_allclose(basis.mean, pca.mean_, atol=1e-6)
    np.testing.assert_allclose(basis.variance_ratio, pca.explained_variance_ratio_, atol=1e-6)
    np.testing.assert_allclose(basis.components, pca.components_ * signs[:, None], atol=1e-4)
    np.testing.assert_allclose(project(kernels, basis), pca.transform(kernels) * signs, atol=2e-4)


def test_is_orthonormal_sorted_and_float64():
    basis = fit_basis(of(sample()))
    np.testing.assert_allclose(basis.components @ basis.components.T, np.eye(9), atol=1e-12)
    assert np.all(np.diff(basis.variance_ratio) <= 0)
    assert basis.variance_ratio.sum() == pytest.approx(1, abs=1e-12)
    assert {x.dtype for x in (basis.mean, basis.components, basis.variance_ratio)} == {
        np.dtype("float64")
    }


def test_entry_of_largest_magnitude_is_positive():
    components = fit_basis(of(sample())).components
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    assert (largest > 0).all()


def test_projection_keeps_lengths():
    kernels, basis = sample(), fit_basis(of(sample()))
    centered = np.asarray(kernels, np.float64) - basis.mean
    got = np.linalg.norm(project(kernels, basis), axis=1)
    np.testing.assert_allclose(got, np.linalg.norm(centered, axis=1), rtol=1e-5)


def test_directions_without_variance_have_ratio_zero():
    flat = jnp.outer(jnp.linspace(-1, 1, 30), jnp.ones(9))
    ratio = fit_basis(of(flat)).variance_ratio
    np.testing.assert_allclose(ratio, np.eye(9)[0], atol=1e-6)
    assert (ratio >= 0).all()


@pytest.mark.parametrize("n", [0, 1])
def test_refuses_fewer_than_two_kernels(n):
    with pytest.raises(ValueError, match=rf"at least 2 kernels to fit a basis to, got {n}; pool"):
        fit_basis(of(sample()[:n]))


def test_refuses_kernels_that_do_not_vary():
    with pytest.raises(ValueError, match=r"kernels that vary .* got 40 equal kernels"):
        fit_basis(of(jnp.full((40, 9), 0.1)))


def test_refuses_what_is_not_finite():
    broken = Moments(np.asarray(9.0), np.zeros(9), np.full((9, 9), np.nan))
    with pytest.raises(ValueError, match="finite moments"):
        fit_basis(broken)
