"""The start of a fit against scipy's optimum, and where its correlations are noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from jfilters.density._density import TAILS, bend, log_base
from jfilters.density._start import start


def drawn(kind, n=2000, seed=0):
    """Three taps, at places and scales of their own, in the space of atanh."""
    rng = np.random.default_rng(seed)
    return np.array([0.3, -0.1, 0.0]) + np.array([0.2, 0.4, 0.3]) * kind(rng, (n, 3))


def logistic(rng, shape):
    return rng.logistic(0, 3**0.5 / np.pi, shape)


def normal(rng, shape):
    return rng.normal(0, 1, shape)


def heavy(rng, shape):
    return rng.standard_t(3, shape)


def started(free):
    return start(jnp.tanh(jnp.asarray(free, jnp.float32)))


class TestStart:
    @pytest.mark.parametrize("kind", [logistic, normal, heavy])
    def test_it_is_the_likeliest_against_scipy(self, kind):
        free = drawn(kind)
        found = started(free)
        tail = float(found.tail)

        def cost(at, column):
            x = (column - at[0]) / np.exp(at[1])
            return at[1] - np.mean(reference(x, tail))

        for k, column in enumerate(free.T):
            best = scipy.optimize.minimize(
                cost, (column.mean(), np.log(column.std())), column, method="Nelder-Mead"
            )
            assert float(found.loc[k]) == pytest.approx(best.x[0], abs=2e-3)
            assert np.log(float(found.scale[k])) == pytest.approx(best.x[1], abs=5e-3)

    def test_the_tail_is_that_of_the_population(self):
        tails = [float(started(drawn(kind)).tail) for kind in (normal, logistic, heavy)]
        assert tails[0] < 0.6 < 0.8 < tails[1] < 1.2 < tails[2]

    def test_the_base_of_the_lightest_tails_is_a_normal_one(self):
        x = np.linspace(-4, 4, 4001)
        weight = scipy.stats.norm.pdf(x) * (x[1] - x[0])

        def kl(at):
            values = reference(x / np.exp(at), 0.45) - at
            return np.sum(weight * (scipy.stats.norm.logpdf(x) - values))

        assert scipy.optimize.minimize_scalar(kl, (-1, 1)).fun < 1e-5

    def test_taps_that_never_change(self):
        found = started(np.full((100, 3), 0.25))
        np.testing.assert_allclose(found.loc, 0.25, atol=1e-4)
        assert all(np.isfinite(part).all() for part in found)
        assert (np.asarray(found.scale) < 0.01).all()


class TestCorrelation:
    def test_of_independent_taps_it_is_shrunk_away(self):
        unmix = np.stack([started(drawn(normal, 200, seed)).unmix for seed in range(20)])
        below = np.tril_indices(3, -1)
        away = np.sqrt(np.mean(unmix[:, *below] ** 2))
        assert away < 0.7 / np.sqrt(200)

    def test_strong_correlations_are_taken_out(self):
        rng = np.random.default_rng(3)
        free = 0.3 * rng.normal(size=(3000, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0.5], [0, 0, 1]])
        found = started(free)
        x = (free - np.asarray(found.loc)) / np.asarray(found.scale)
        correlation = np.corrcoef(np.asarray(found.unmix, np.float64) @ x.T)
        assert np.abs(correlation - np.eye(3)).max() < 0.02


class TestBent:
    @pytest.mark.parametrize("power", [0.4, 1.0, 1.6])
    def test_the_log_determinant_is_that_of_autodiff(self, power):
        for x in (-3.0, 0.0, 0.7, 5.0):
            _, log_det = bend(jnp.array(x), jnp.array(power))
            slope = jax.grad(lambda x: bend(x, jnp.array(power))[0])(jnp.array(x))
            assert float(log_det) == pytest.approx(float(jnp.log(slope)), abs=1e-5)

    @pytest.mark.parametrize("power", TAILS)
    def test_it_inverts(self, power):
        x = jnp.linspace(-5, 5, 11)
        back, _ = bend(bend(x, jnp.array(power))[0], 1 / jnp.array(power))
        np.testing.assert_allclose(back, x, atol=1e-4)

    def test_the_base_integrates_to_one(self):
        x = np.linspace(-60, 60, 200_001)
        for tail in (0.4, 1.0, 1.6):
            assert np.exp(reference(x, tail)).sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-3)

    def test_jax_and_the_reference_agree(self):
        x = np.linspace(-6, 6, 25)
        found = jax.vmap(lambda x: log_base(x, jnp.array(0.6)))(jnp.asarray(x, jnp.float32))
        np.testing.assert_allclose(found, reference(x, 0.6), atol=2e-5)


def reference(x, tail):
    """The log-density of the base in float64: sinh-arcsinh of a logistic variable of deviation 1."""
    unit = 3**0.5 / np.pi
    knee = 2.67 * unit
    arc = np.arcsinh(x / knee) / tail
    slope = np.cosh(arc) / tail / np.sqrt(1 + (x / knee) ** 2)
    return scipy.stats.logistic.logpdf(knee * np.sinh(arc), scale=unit) + np.log(slope)
