import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jfilters.density import initializer, samples
from jfilters.density._density import new_density
from jfilters.density.internal import scaled

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def density():
    face = jnp.log(jnp.array([0.4, 0.1] + [0.5 / 16] * 16))
    return new_density(
        jax.random.key(0), face, jnp.full(8, 0.3), jnp.full(8, 0.4), layers=1, width=4
    )


KEY = jax.random.key(1)


class TestInitializer:
    @pytest.mark.parametrize(
        ("axes", "shape"),
        [("HWIO", (3, 3, 8, 16)), ("OIHW", (16, 8, 3, 3)), ("OHWI", (16, 3, 3, 8))],
    )
    def test_every_order_of_axes_holds_the_same_kernels(self, density, axes, shape):
        weights = initializer(density, axes=axes)(KEY, shape)
        assert (weights.shape, weights.dtype) == (shape, jnp.float32)
        stored = jnp.transpose(weights, [axes.index(letter) for letter in "OIHW"])
        np.testing.assert_array_equal(stored, initializer(density, axes="OIHW")(KEY, (16, 8, 3, 3)))

    def test_the_mean_square_is_that_of_he(self, density):
        weights = initializer(density)(KEY, (3, 3, 8, 16))
        assert float(jnp.mean(weights**2)) == pytest.approx(2 / (9 * 8), rel=1e-5)
        half = initializer(density, scale=1.0)(KEY, (3, 3, 8, 16))
        np.testing.assert_allclose(half, weights / np.sqrt(2), rtol=1e-5)

    def test_the_kernels_are_those_of_the_density(self, density):
        weights = initializer(density, axes="OIHW")(KEY, (16, 8, 3, 3)).reshape(-1, 9)
        drawn = scaled(samples(KEY, density, 128), 72)
        np.testing.assert_allclose(weights, drawn, rtol=1e-5, atol=1e-7)

    def test_other_types(self, density):
        weights = initializer(density)(KEY, (3, 3, 2, 2), jnp.bfloat16)
        assert weights.dtype == jnp.bfloat16

    def test_flax_takes_it(self, density):
        layer = nnx.Conv(4, 8, (3, 3), kernel_init=initializer(density), rngs=nnx.Rngs(0))
        assert float(jnp.mean(layer.kernel[...] ** 2)) == pytest.approx(2 / 36, rel=1e-5)

    @pytest.mark.parametrize("axes", ["HW", "HHIO", "HWI", ""])
    def test_axes_that_are_none(self, density, axes):
        with pytest.raises(ValueError, match="expected axes with I, O"):
            initializer(density, axes=axes)

    def test_kernels_of_another_size(self, density):
        with pytest.raises(
            ValueError, match="expected kernels of 9 taps, as the density's are, got 25"
        ):
            initializer(density)(KEY, (5, 5, 2, 2))

    def test_a_shape_of_other_axes(self, density):
        with pytest.raises(ValueError, match="expected a shape of 4 axes"):
            initializer(density)(KEY, (9, 2, 2))
