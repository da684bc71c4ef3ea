"""The density is one: its Jacobian is right and it integrates to 1, for any weights and any d."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
import pytest

from jfilters.density import KernelDensity, samples
from jfilters.density._density import UNIFORM, new_density
from jfilters.density.internal import from_charts, log_area, to_charts

pytestmark = pytest.mark.slow


def made(d, seed=0):
    """A density with random faces and weights far from the start."""
    key, of_face, of_weights = jax.random.split(jax.random.key(seed), 3)
    log_face = jax.nn.log_softmax(jax.random.normal(of_face, (2 * d,)))
    density = new_density(
        key, log_face, jnp.full(d - 1, 0.2), jnp.full(d - 1, 0.6), layers=2, width=8
    )
    flow, rest = eqx.partition(density.rest, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(flow)
    keys = jax.random.split(of_weights, len(leaves))
    moved = [x + 0.2 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return KernelDensity(log_face, eqx.combine(jax.tree.unflatten(structure, moved), rest), d)


def on_cube(seed, n, d):
    """Kernels drawn evenly over the surface."""
    of_face, of_rest = jax.random.split(jax.random.key(seed))
    face = jax.random.randint(of_face, (n,), 0, 2 * d)
    return from_charts(face, jax.random.uniform(of_rest, (n, d - 1), minval=-1, maxval=1))


@pytest.mark.parametrize("d", [2, 3, 9])
class TestTruth:
    def test_the_log_determinant_is_that_of_autodiff(self, d):
        density = made(d)
        flow = paramax.unwrap(density.rest.bijection)
        for kernel in on_cube(1, 5, d):
            face, rest = (x[0] for x in to_charts(kernel[None]))
            condition = jax.nn.one_hot(face, 2 * d, dtype=jnp.float32)
            inverse = jax.jit(lambda x, c=condition: flow.inverse(x, c))
            jacobian = jax.jacfwd(inverse)(rest)
            latent = inverse(rest)
            base = float(density.rest.base_dist.log_prob(latent))
            determinant = np.linalg.slogdet(np.asarray(jacobian, np.float64)).logabsdet
            likely = np.exp(float(density.log_face[face]) + base + determinant)
            expected = np.log((1 - UNIFORM) * likely + UNIFORM / np.exp(float(log_area(d))))
            assert float(density.log_prob(kernel)) == pytest.approx(expected, abs=2e-3)

    def test_it_integrates_to_one_over_the_surface(self, d):
        n = 200_000
        density = made(d)
        log_prob = jax.jit(jax.vmap(density.log_prob))(on_cube(2, n, d))
        weights = np.exp(np.asarray(log_prob, np.float64) + float(log_area(d)))
        error = weights.std() / np.sqrt(n)
        assert error < 0.2
        assert abs(weights.mean() - 1) < 4 * error

    def test_what_is_drawn_is_distributed_so(self, d):
        # E over p of u / p is the integral of u over the surface: here of a face's part, |rest| < 1/2.
        n = 50_000
        density = made(d)
        drawn = samples(jax.random.key(3), density, n)
        log_prob = jax.jit(jax.vmap(density.log_prob))(drawn)
        _, rest = to_charts(drawn)
        inside = (jnp.abs(rest) < 0.5).all(axis=1)
        weights = np.where(inside, np.exp(-np.asarray(log_prob, np.float64)), 0)
        area = 2 * d  # 2d faces of 1^(d - 1)
        error = weights.std() / np.sqrt(n)
        assert abs(weights.mean() - area) < 4 * error
        assert error < 0.2 * area


class TestSamples:
    def test_they_are_normalized_kernels(self):
        drawn = np.abs(samples(jax.random.key(0), made(9), 100))
        assert (drawn.max(axis=1) == 1).all()

    def test_faces_come_as_often_as_they_are_likely(self):
        density = made(3)
        face, _ = to_charts(samples(jax.random.key(0), density, 20_000))
        share = np.bincount(np.asarray(face), minlength=6) / 20_000
        np.testing.assert_allclose(share, np.exp(density.log_face), atol=0.015)

    def test_they_are_those_of_the_key(self):
        first, second = (samples(jax.random.key(5), made(3), 10) for _ in range(2))
        np.testing.assert_array_equal(first, second)


class TestLogProb:
    def test_the_scale_does_not_count(self):
        density, kernel = made(3), jnp.array([0.25, -1.0, 0.5])
        assert density.log_prob(kernel) == density.log_prob(4 * kernel)

    def test_a_zero_kernel_has_none(self):
        assert np.isnan(made(3).log_prob(jnp.zeros(3)))

    def test_no_kernel_costs_more_than_the_uniform_share_allows(self):
        log_prob = jax.jit(jax.vmap(made(9).log_prob))(on_cube(4, 5000, 9))
        assert log_prob.min() >= np.log(UNIFORM) - log_area(9) - 1e-4

    def test_any_number_of_taps(self):
        density = made(25)
        assert np.isfinite(density.log_prob(on_cube(0, 1, 25)[0]))

    @pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
    def test_it_lowers(self, platform):
        density, kernels = made(9), on_cube(0, 8, 9)
        arrays, rest = eqx.partition(density, eqx.is_array)
        log_prob = jax.jit(lambda a, x: jax.vmap(eqx.combine(a, rest).log_prob)(x))
        log_prob.trace(arrays, kernels).lower(lowering_platforms=(platform,))
