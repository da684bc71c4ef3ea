import numpy as np
import pytest
import scipy.fft

from jfilters.training import cosine_basis


@pytest.mark.parametrize("spatial", [(3, 3), (5, 5), (1, 7), (3,), (3, 3, 3)])
def test_projects_as_the_cosine_transform_of_scipy(spatial):
    kernels = np.random.default_rng(0).normal(size=(20, *spatial))
    expected = scipy.fft.dctn(kernels, norm="ortho", axes=range(1, kernels.ndim))
    got = kernels.reshape(20, -1) @ cosine_basis(spatial).components.T
    # The same numbers by rising frequency, up to the sign of a component.
    np.testing.assert_allclose(
        np.sort(np.abs(got), axis=1), np.sort(np.abs(expected).reshape(20, -1), axis=1), atol=1e-12
    )


@pytest.mark.parametrize("spatial", [(3, 3), (5, 5), (3, 3, 3)])
def test_is_orthonormal_and_weighs_every_component_the_same(spatial):
    basis, d = cosine_basis(spatial), int(np.prod(spatial))
    np.testing.assert_allclose(basis.components @ basis.components.T, np.eye(d), atol=1e-12)
    np.testing.assert_array_equal(basis.variance_ratio, np.full(d, 1 / d))
    assert not basis.mean.any()


def test_the_first_three_are_the_mean_and_the_gradients():
    first, second, third = cosine_basis((3, 3)).components[:3].reshape(3, 3, 3)
    np.testing.assert_allclose(first, np.full((3, 3), 1 / 3), atol=1e-12)
    slope = np.array([1, 0, -1]) / np.sqrt(6)
    np.testing.assert_allclose(second, np.tile(slope, (3, 1)), atol=1e-12)
    np.testing.assert_allclose(third, np.tile(slope[:, None], (1, 3)), atol=1e-12)


def test_the_largest_entry_of_each_component_is_positive():
    for spatial in [(3, 3), (5, 5), (7, 7)]:
        components = cosine_basis(spatial).components
        assert (components.max(axis=1) >= -components.min(axis=1) - 1e-12).all()


@pytest.mark.parametrize("spatial", [(), (0, 3)])
def test_refuses_what_is_no_kernel_size(spatial):
    with pytest.raises(ValueError, match="kernel size"):
        cosine_basis(spatial)
