"""The share of a difference that numbers for each kernel leave, and orders of rescaled channels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.shift.internal import channel_order, rescaling

SHAPES = [(16, 8, 3, 3), (96, 1, 3, 3), (8, 4, 5, 5), (8, 8, 1, 3)]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def positive(seed: int, *shape: int) -> np.ndarray:
    return np.exp(normal(seed, *shape))


class TestRescaling:
    @given(st.integers(0, 500), st.sampled_from(SHAPES))
    def test_the_reference_in_float64(self, seed, shape):
        a, b = normal(seed, *shape), normal(seed + 1, *shape)
        u, v = (x.reshape(shape[0] * shape[1], -1).astype(np.float64) for x in (a, b))
        factors = [
            np.linalg.lstsq(x[:, None], y, rcond=None)[0][0] for x, y in zip(u, v, strict=True)
        ]
        remainder = np.sum((v - np.array(factors)[:, None] * u) ** 2)
        assert rescaling(a, b) == pytest.approx(remainder / np.sum((v - u) ** 2), rel=1e-4)

    @given(st.integers(0, 500), st.sampled_from(SHAPES), st.booleans())
    def test_any_number_for_each_kernel_leaves_nothing(self, seed, shape, is_signed):
        factors = (normal if is_signed else positive)(seed + 1, *shape[:2], 1, 1)
        a = normal(seed, *shape)
        assert rescaling(a, a * factors) == pytest.approx(0, abs=1e-8)

    @given(st.integers(0, 100), st.floats(1e-3, 1e3))
    def test_the_unit_of_the_weights_changes_nothing(self, seed, scale):
        a, b = normal(seed, 16, 8, 3, 3), normal(seed + 1, 16, 8, 3, 3)
        scaled = (x * np.float32(scale) for x in (a, b))
        assert rescaling(*scaled) == pytest.approx(rescaling(a, b), rel=1e-4)

    @given(st.integers(0, 100))
    def test_the_order_of_kernels_changes_nothing(self, seed):
        a, b = normal(seed, 16, 8, 3, 3), normal(seed + 1, 16, 8, 3, 3)
        order = np.random.default_rng(seed).permutation(16)
        assert rescaling(a[order], b[order]) == pytest.approx(rescaling(a, b), rel=1e-5)

    @pytest.mark.parametrize("taps", [3, 9, 25])
    @pytest.mark.parametrize("size", [1e-3, 1e-1])
    def test_a_step_in_any_direction_leaves_all_but_one_tap(self, taps, size):
        a = normal(0, 64, 32, 1, taps)
        b = a + np.float32(size) * normal(1, 64, 32, 1, taps)
        assert rescaling(a, b) == pytest.approx(1 - 1 / taps, abs=0.03)

    def test_kernels_of_zeros_have_no_multiple(self):
        a, b = np.zeros((4, 4, 3, 3), np.float32), normal(0, 4, 4, 3, 3)
        assert rescaling(a, b) == pytest.approx(1)
        assert rescaling(b, a) == pytest.approx(0)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_undefined(self, value):
        a, b = normal(0, 4, 4, 3, 3), normal(0, 4, 4, 3, 3)
        b[0, 0, 0, 0] = value
        assert rescaling(a, b) is None
        assert rescaling(b, a) is None

    def test_equal_weights_have_no_difference(self):
        a = normal(0, 4, 4, 3, 3)
        assert rescaling(a, a.copy()) is None


class TestOrderOfRescaledChannels:
    @pytest.mark.parametrize("noise", [0.0, 0.02])
    @pytest.mark.parametrize("seed", range(3))
    def test_directions_show_the_order_where_scales_hide_it(self, seed, noise):
        rng = np.random.default_rng(seed)
        b = normal(seed, 32, 24, 3, 3)
        outputs, inputs = rng.permutation(32), rng.permutation(24)
        factors = positive(seed + 1, 32, 1, 1, 1) / positive(seed + 2, 1, 24, 1, 1)
        a = (b[outputs][:, inputs] + np.float32(noise) * normal(9, 32, 24, 3, 3)) * factors
        order = channel_order(a, b)
        assert order is not None
        np.testing.assert_array_equal(order[0], outputs)
        np.testing.assert_array_equal(order[1], inputs)

    @pytest.mark.parametrize("seed", range(5))
    def test_rescaled_strangers_have_no_order(self, seed):
        a, b = normal(seed, 32, 24, 3, 3), normal(seed + 50, 32, 24, 3, 3)
        assert channel_order(a * positive(seed, 32, 1, 1, 1), b) is None

    def test_kernels_of_zeros_raise_no_warning(self):
        a, b = normal(0, 32, 24, 3, 3), normal(1, 32, 24, 3, 3)
        a[:, ::2] = 0
        assert channel_order(a, b) is None
