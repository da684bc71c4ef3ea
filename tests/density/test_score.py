import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters.density import dequantize, scores
from jfilters.density._density import new_density
from jfilters.density._score import BLOCK

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def density():
    face = jnp.log(jnp.full(6, 1 / 6))
    return new_density(jax.random.key(0), face, jnp.zeros(2), jnp.ones(2), layers=1, width=4)


KEY = jax.random.key(1)


class TestScores:
    def test_every_kernel_has_its_own(self, density):
        rows = np.random.default_rng(0).standard_normal((BLOCK + 10, 3))
        found = scores(KEY, density, rows)
        first = dequantize(jax.random.split(KEY, 2)[0], rows[:BLOCK]).kernels
        expected = jax.jit(jax.vmap(density.log_prob))(first)
        np.testing.assert_allclose(found[:BLOCK], expected, rtol=1e-5)
        assert np.isfinite(found).all()

    def test_zero_kernels_have_none(self, density):
        found = scores(KEY, density, np.array([[0.0, 0, 0], [1, 2, 3], [0, 0, 0]]))
        assert np.isnan(found).tolist() == [True, False, True]

    def test_no_kernels(self, density):
        assert scores(KEY, density, np.zeros((0, 3))).shape == (0,)

    def test_kernels_of_another_size(self, density):
        with pytest.raises(ValueError, match="expected kernels of 3 taps"):
            scores(KEY, density, np.ones((2, 9)))

    def test_weights_and_masks_choose_kernels(self, density):
        rows = np.random.default_rng(1).standard_normal((12, 3))
        mask = np.arange(12) % 3 > 0
        found = scores(KEY, density, rows.reshape(4, 3, 3), where=mask.reshape(4, 3))
        assert np.isnan(found).tolist() == (~mask).reshape(4, 3).tolist()
        np.testing.assert_array_equal(found[mask.reshape(4, 3)], scores(KEY, density, rows[mask]))

    def test_layers_give_one_array_each(self, density):
        rows = np.random.default_rng(2).standard_normal((8, 3)).astype(np.float32)
        layers = (jf.Layer("first"), jf.Layer("second"))
        weights = (jnp.asarray(rows.reshape(4, 2, 3)), jnp.asarray(rows[:2, None]))
        found = scores(KEY, density, jf.Kernels(weights, layers))
        assert [values.shape for values in found] == [(4, 2), (2, 1)]
        assert all(np.isfinite(values).all() for values in found)
