import jax
import numpy as np
import pytest

from jfilters.density import dequantize
from jfilters.density.internal import RESOLUTION

KEY = jax.random.key(0)


class TestRule:
    def test_every_kernel_has_one_tap_at_one_and_the_others_inside(self):
        rng = np.random.default_rng(0)
        stored = rng.integers(-3, 4, (500, 9)) * 0.1  # many ties
        magnitude = np.abs(dequantize(KEY, stored).kernels)
        assert ((magnitude == 1).sum(axis=1) == 1).all()
        assert (np.sort(magnitude, axis=1)[:, -2] < 1).all()
        assert np.isfinite(np.arctanh(np.sort(magnitude, axis=1)[:, :-1])).all()

    def test_taps_stay_within_half_a_cell(self):
        rng = np.random.default_rng(1)
        stored = rng.standard_normal((1000, 9))
        moved = np.asarray(dequantize(KEY, stored).kernels)
        away = np.abs(moved - stored / np.abs(stored).max(axis=1, keepdims=True))
        assert away.max() <= RESOLUTION / 2 + 1e-6
        assert away.max() > RESOLUTION / 2 * 0.9

    def test_a_tap_on_a_grid_is_spread_evenly_over_its_cell(self):
        stored = np.tile([1.0, 0.5, 0.0], (4000, 1))
        spread = np.asarray(dequantize(KEY, stored).kernels)[:, 1] - 0.5
        np.testing.assert_allclose(
            np.quantile(spread, [0.25, 0.75]), [-RESOLUTION / 4, RESOLUTION / 4], rtol=0.1
        )

    def test_the_largest_of_ties_is_drawn(self):
        stored = np.tile([1.0, -1.0, 0.2], (2000, 1))
        moved = np.asarray(dequantize(KEY, stored).kernels)
        assert abs((moved[:, 0] == 1).mean() - 0.5) < 0.05
        assert ((moved[:, 0] == 1) ^ (moved[:, 1] == -1)).all()

    def test_zero_kernels_are_counted_and_left_out(self):
        stored = np.array([[0.0, 0.0], [1.0, 0.5], [0.0, 0.0]])
        surface = dequantize(KEY, stored)
        assert (surface.kernels.shape, surface.n_zero) == ((1, 2), 2)

    def test_nothing_but_zero_kernels(self):
        surface = dequantize(KEY, np.zeros((3, 4)))
        assert (surface.kernels.shape, surface.n_zero) == ((0, 4), 3)

    def test_the_same_key_moves_the_same_way(self):
        stored = np.random.default_rng(2).standard_normal((10, 4))
        first, second = (dequantize(KEY, stored).kernels for _ in range(2))
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_weights_that_are_no_numbers_are_refused(self, bad):
        with pytest.raises(ValueError, match="expected finite kernels"):
            dequantize(KEY, np.array([[1.0, bad]]))

    def test_a_mask_leaves_kernels_out(self):
        stored = np.random.default_rng(4).standard_normal((6, 2, 4))
        mask = np.arange(12).reshape(6, 2) % 2 == 0
        stored[~mask] = np.nan
        found = dequantize(KEY, stored, where=mask)
        expected = dequantize(KEY, stored[mask])
        np.testing.assert_array_equal(found.kernels, expected.kernels)
        assert found.n_zero == 0
