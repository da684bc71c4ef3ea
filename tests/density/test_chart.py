import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jfilters import normalize
from jfilters.density.internal import from_chart, from_charts, log_area, to_chart, to_charts

from .populations import placed

kernels = hnp.arrays(
    np.float32, 9, elements=st.floats(-1, 1, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
).filter(lambda kernel: np.abs(kernel).max() > 0)


class TestRoundTrip:
    @given(kernels)
    def test_a_kernel_comes_back_normalized(self, kernel):
        back = from_chart(*to_chart(jnp.asarray(kernel)))
        np.testing.assert_allclose(back, normalize(jnp.asarray(kernel)[None])[0], rtol=1e-6)

    @given(kernels, st.sampled_from([2.0, 0.25, 1024.0]))
    def test_the_scale_does_not_count(self, kernel, scale):
        face, rest = to_chart(jnp.asarray(kernel))
        scaled_face, scaled_rest = to_chart(jnp.asarray(kernel * np.float32(scale)))
        assert face == scaled_face
        np.testing.assert_allclose(rest, scaled_rest, rtol=1e-6)

    @pytest.mark.parametrize("d", [2, 3, 9, 25])
    def test_every_face_comes_back(self, d):
        rng = np.random.default_rng(0)
        face = np.arange(2 * d, dtype=np.int32)
        rest = rng.uniform(-0.99, 0.99, (2 * d, d - 1)).astype(np.float32)
        back_face, back_rest = to_charts(from_charts(jnp.asarray(face), jnp.asarray(rest)))
        np.testing.assert_array_equal(back_face, face)
        np.testing.assert_array_equal(back_rest, rest)


class TestDefinition:
    def test_against_a_loop(self):
        rng = np.random.default_rng(1)
        face = rng.integers(0, 10, 50)
        rest = rng.uniform(-1, 1, (50, 4)).astype(np.float32)
        found = from_charts(jnp.asarray(face, jnp.int32), jnp.asarray(rest))
        np.testing.assert_array_equal(found, placed(face, rest))

    def test_faces_are_numbered_by_tap_and_sign(self):
        assert to_chart(jnp.array([0.1, 2.0, 0.3]))[0] == 2
        assert to_chart(jnp.array([0.1, 0.2, -3.0]))[0] == 5

    def test_the_first_of_several_largest_taps_counts(self):
        face, rest = to_chart(jnp.array([0.5, -1.0, 1.0]))
        assert face == 3
        np.testing.assert_array_equal(rest, [0.5, 1.0])

    def test_a_zero_kernel_has_no_coordinates(self):
        assert np.isnan(to_chart(jnp.zeros(3))[1]).all()

    def test_jit_equals_no_jit(self):
        kernel = jnp.array([0.3, -0.7, 0.2, 0.1])
        for plain, jitted in zip(to_chart(kernel), jax.jit(to_chart)(kernel), strict=True):
            np.testing.assert_array_equal(plain, jitted)

    @pytest.mark.parametrize(("d", "area"), [(2, 8), (3, 24), (9, 18 * 256)])
    def test_the_area_of_the_cube(self, d, area):
        np.testing.assert_allclose(np.exp(log_area(d)), area, rtol=1e-5)
