"""Grids that quantization puts weights on, and values that lie on none."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.shift.internal import grid

from .test_difference import cast, quantized, weights


def integers(values: np.ndarray, bits: int, kind: str, *, per_channel: bool) -> np.ndarray:
    """Values on integers times a scale, from zero, from a whole zero point or from the smallest value."""
    axes = tuple(range(1, values.ndim)) if per_channel else None
    if kind == "symmetric":
        return quantized(values, 2 ** (bits - 1) - 1, per_channel=per_channel)
    low = np.minimum(values.min(axis=axes, keepdims=True), 0)
    scale = (values.max(axis=axes, keepdims=True) - low) / (2**bits - 1)
    if kind == "affine":
        return (np.rint((values - low) / scale) * scale + low).astype(np.float32)
    zero = np.rint(-low / scale)
    codes = np.clip(np.rint(values / scale) + zero, 0, 2**bits - 1)
    return ((codes - zero) * scale).astype(np.float32)


class TestGrid:
    @pytest.mark.parametrize("levels", [1, 7, 127, 255])
    @pytest.mark.parametrize("per_channel", [False, True])
    def test_a_grid_is_found_with_its_levels(self, levels, per_channel):
        a = weights()
        found = grid(quantized(a, levels, per_channel=per_channel), a)
        assert found is not None
        assert (found.levels, found.per_channel) == (levels, per_channel)
        assert found.near == 1

    def test_depthwise_channels_of_nine_values(self):
        a = weights(shape=(96, 1, 3, 3))
        found = grid(quantized(a, 127, per_channel=True), a)
        assert found is not None
        assert found.per_channel

    def test_stored_as_float16_after_the_product(self):
        a = weights()
        found = grid(cast(quantized(a, 127, per_channel=False), "float16"), a)
        assert found is not None
        assert found.levels == 127

    @pytest.mark.parametrize("kind", ["symmetric", "zero point", "affine"])
    @pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16"])
    @pytest.mark.parametrize("per_channel", [False, True])
    @pytest.mark.parametrize("bits", [8, 4])
    def test_integers_that_were_rounded_again(self, kind, stored, per_channel, bits):
        a = weights(shape=(32, 16, 3, 3)) * np.exp(weights(1, (32, 1, 1, 1)) / 2)
        found = grid(cast(integers(a, bits, kind, per_channel=per_channel), stored), a)
        assert found is not None
        assert found.near >= 0.95
        assert found.error >= 0.18
        assert found.levels <= 2**bits

    @given(
        st.integers(0, 300),
        st.sampled_from(["float16", "bfloat16", "float8_e4m3fn"]),
        st.sampled_from([(16, 8, 3, 3), (96, 1, 3, 3), (4, 3, 3, 3)]),
    )
    def test_narrow_weights_are_no_integers(self, seed, stored, shape):
        found = grid(cast(weights(seed, shape), stored), weights(seed + 1, shape))
        assert found is None or found.near < 0.1

    @given(st.integers(0, 500), st.sampled_from([(16, 8, 3, 3), (96, 1, 3, 3), (4, 3, 1, 3)]))
    def test_plain_weights_lie_on_none(self, seed, shape):
        assert grid(weights(seed, shape), weights(seed + 1, shape)) is None

    def test_too_few_values_or_zeros_tell_nothing(self):
        assert grid(weights(shape=(32, 1, 3)), weights(1, (32, 1, 3))) is None
        zeros = np.zeros((4, 4, 3, 3), np.float32)
        assert grid(zeros, zeros) is None

    @pytest.mark.parametrize("per_channel", [False, True])
    @pytest.mark.parametrize("code", ["float8_e4m3fn", "float8_e5m2"])
    @pytest.mark.parametrize("factor", [1.0, 0.37])
    def test_float8_times_a_scale(self, code, per_channel, factor):
        a = weights()
        top = np.float32(factor) * np.float32(
            ml_dtypes.finfo(np.dtype(getattr(ml_dtypes, code))).max
        )
        scale = np.abs(a).max(axis=(1, 2, 3) if per_channel else None, keepdims=True) / top
        found = grid(cast(a / scale, code) * scale, a)
        assert found is not None
        assert (found.code, found.per_channel, found.near) == (code, per_channel, 1)
        assert grid(a, cast(a / scale, code) * scale) is None

    def test_far_from_the_other(self):
        found = grid(quantized(weights(), 127, per_channel=False), weights(1))
        assert found is not None
        assert found.near < 0.1


class TestError:
    @given(
        st.integers(0, 100), st.sampled_from([7, 31, 127, 255]), st.booleans(), st.floats(1e-3, 1e3)
    )
    def test_rounding_makes_a_quarter_of_a_step(self, seed, levels, per_channel, scale):
        a = weights(seed, (32, 16, 3, 3)) * np.float32(scale)
        lattice = grid(quantized(a, levels, per_channel=per_channel), a)
        assert lattice is not None
        assert lattice.error == pytest.approx(0.25, abs=0.03)

    @pytest.mark.parametrize("code", ["float8_e4m3fn", "float8_e5m2"])
    @pytest.mark.parametrize("stored", ["float32", "bfloat16"])
    def test_rounding_to_a_narrow_type_too(self, code, stored):
        a = weights(0, (32, 16, 3, 3))
        scale = np.abs(a).max() / np.float32(
            ml_dtypes.finfo(np.dtype(getattr(ml_dtypes, code))).max
        )
        lattice = grid(cast(cast(a / scale, code) * scale, stored), a)
        assert lattice is not None
        assert lattice.error == pytest.approx(0.25, abs=0.03)

    @pytest.mark.parametrize("step", [0.01, 0.1])
    def test_training_onward_from_the_grid_stays_nearer(self, step):
        start = quantized(weights(), 127, per_channel=False)
        size = np.float32(step * np.abs(start).max() / 127)
        lattice = grid(start, start + size * weights(1))
        assert lattice is not None
        assert lattice.error == pytest.approx(step * np.sqrt(2 / np.pi), rel=0.1)

    def test_values_that_clipping_moved_do_not_count(self):
        a = weights()
        b = quantized(np.clip(a, -1, 1), 127, per_channel=False)
        lattice = grid(b, a)
        assert lattice is not None
        assert lattice.error == pytest.approx(0.25, abs=0.03)

    def test_zeros_of_both_do_not_count(self):
        a = weights()
        a[::2] = 0
        lattice = grid(quantized(a, 127, per_channel=False), a)
        assert lattice is not None
        assert lattice.error == pytest.approx(0.25, abs=0.03)

    def test_an_equal_weight_has_none(self):
        a = quantized(weights(), 127, per_channel=False)
        lattice = grid(a, a)
        assert lattice is not None
        assert lattice.error == 0
