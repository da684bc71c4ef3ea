import ml_dtypes
import numpy as np
import pytest

from jfilters.shift.internal import difference, rounding, rounding_beside_zeros


def weights(seed: int = 0, shape: tuple[int, ...] = (16, 8, 3, 3)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cast(values: np.ndarray, name: str) -> np.ndarray:
    return values.astype(np.dtype(getattr(ml_dtypes, name, name))).astype(np.float32)


def quantized(values: np.ndarray, levels: int, *, per_channel: bool) -> np.ndarray:
    axes = tuple(range(1, values.ndim)) if per_channel else None
    step = np.abs(values).max(axis=axes, keepdims=True) / levels
    return np.rint(values / step) * step


class TestDifference:
    def test_counts_and_lengths(self):
        a = np.array([[1.0, 0, 2, 0, 5]], np.float32)
        b = np.array([[1.0, 3, 0, 0, 4]], np.float32)
        found = difference(a, b)
        assert (found.n, found.changed, found.altered) == (5, 3, 1)
        assert (found.zeroed_first, found.zeroed_second) == (1, 1)
        assert found.norm == pytest.approx(30**0.5)
        assert found.distance == pytest.approx(14**0.5)

    def test_what_is_not_finite_differs_and_has_no_length(self):
        a = np.array([[np.inf, np.nan, 3e38]], np.float32)
        found = difference(a, -a)
        assert (found.changed, found.distance) == (3, 0)


class TestRounding:
    @pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
    def test_either_side_may_be_rounded(self, name):
        a = weights()
        b = cast(a, name)
        assert rounding(a, b) == name
        assert rounding(b, a) == name

    def test_both_rounded_in_their_own_way(self):
        a = weights()
        assert rounding(cast(a, "float16"), cast(a, "bfloat16")) == "float16 and bfloat16"

    def test_equal_is_no_rounding(self):
        assert rounding(weights(), weights()) == ""

    def test_small_values_that_vanish(self):
        a = weights()
        a[:8] *= np.float32(1e-7)
        assert rounding(a, cast(a, "float16")) == "float16"

    def test_two_ways_to_compute_a_weight(self):
        a = weights()
        norm = np.sqrt(np.square(a.astype(np.float64)).sum(axis=(1, 2, 3), keepdims=True))
        folded = (norm * (a / norm.astype(np.float32))).astype(np.float32)
        assert not np.array_equal(a, folded)
        assert rounding(a, folded) == rounding(folded, a) == "float32 arithmetic"
        assert rounding(a, a * np.float32(1 + 1e-5)) is None

    def test_beside_zeros(self):
        a = weights()
        b = np.where(np.abs(a) < 1, np.float32(0), a)
        assert rounding(a, b) is None
        assert rounding_beside_zeros(a, b) == rounding_beside_zeros(b, a) == ""
        assert rounding_beside_zeros(a, cast(b, "float16")) == "float16"
        assert rounding_beside_zeros(a, 2 * b) is None

    def test_one_value_off_is_not_explained(self):
        a = weights()
        b = cast(a, "float16")
        b[0, 0, 0, 0] = cast(b[0, 0, 0, 0] * np.float32(1.01), "float16")
        assert rounding(a, b) is None

    def test_other_weights(self):
        assert rounding(weights(0), weights(1)) is None
        assert rounding(weights(0), cast(weights(1), "bfloat16")) is None
        assert rounding(weights(), np.full_like(weights(), np.nan)) is None
