import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.density import FitOptions, _fit, fit, fit_many, log_probs
from jfilters.density._fit import _judged, _State, train
from jfilters.density.internal import FEWEST

from .populations import SMALL, gaussian, logistic

pytestmark = pytest.mark.slow

OPTIONS = FitOptions(**SMALL)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def kernels():
    rng = np.random.default_rng(0)
    narrow, wide = (gaussian(rng, 2000, loc=loc, scale=s) for loc, s in ((0.8, 0.3), (0, 0.9)))
    return jnp.asarray(np.stack([narrow, wide]))


@pytest.fixture(scope="module")
def fits(kernels):
    return fit_many(KEY, kernels, options=OPTIONS)


def same(a, b):
    leaves = zip(*(jax.tree.leaves(eqx.filter(x, eqx.is_array)) for x in (a, b)), strict=True)
    return all(np.array_equal(x, y) for x, y in leaves)


class TestFit:
    def test_the_held_out_likelihood_is_near_the_entropy(self, fits):
        # -E log p: log 6 for the face, and twice the entropy of tanh of a Gaussian.
        rng = np.random.default_rng(1)
        for found, (loc, scale) in zip(fits.log_prob, ((0.8, 0.3), (0, 0.9)), strict=True):
            z = rng.normal(loc, scale, 200_000)
            of_tap = (
                -np.log(scale * np.sqrt(2 * np.pi * np.e)) - np.log1p(-(np.tanh(z) ** 2)).mean()
            )
            expected = -np.log(6) + 2 * of_tap
            error = np.std(found) / np.sqrt(found.size)
            assert abs(np.mean(found) - expected) < 3 * error + 0.03

    def test_it_is_deterministic_in_its_key(self, kernels, fits):
        again = fit_many(KEY, kernels, options=OPTIONS)
        assert same(again.densities, fits.densities)
        other = fit_many(jax.random.key(1), kernels, options=OPTIONS)
        assert not same(other.densities, fits.densities)

    def test_a_set_does_not_depend_on_those_beside_it(self, kernels, fits):
        beside = fit_many(KEY, kernels[jnp.array([0, 0])], options=OPTIONS)
        assert same(beside.density(0), fits.density(0))

    def test_one_alone_is_as_good(self, kernels, fits):
        alone = fit(KEY, kernels[0], options=OPTIONS)
        assert float(alone.log_prob.mean()) == pytest.approx(
            float(fits.log_prob[0].mean()), abs=0.02
        )

    def test_the_likelihood_is_that_of_the_kernels_held_out(self, kernels, fits):
        assert fits.held_out.sum() == 400
        expected = log_probs(fits.densities, kernels[:, fits.held_out])
        np.testing.assert_array_equal(fits.log_prob, expected)

    def test_training_stopping_and_scoring_share_no_kernel(self, kernels, fits, monkeypatch):
        parts = {}

        def record(key, trained, stopping, options):
            parts.update(trained=np.asarray(trained), stopping=np.asarray(stopping))
            return train(key, trained, stopping, options)

        monkeypatch.setattr(_fit, "train", record)
        again = fit_many(KEY, kernels, options=OPTIONS)
        assert again.stopping is not None
        sets = np.asarray(kernels)
        np.testing.assert_array_equal(parts["stopping"], sets[:, again.stopping])
        learned = ~again.stopping & ~again.held_out
        np.testing.assert_array_equal(parts["trained"], sets[:, learned])
        assert not (again.stopping & again.held_out).any()
        assert (again.stopping.sum(), learned.sum()) == (320, 1280)

    def test_a_flow_that_learns_noise_alone_stays_at_its_start(self):
        rng = np.random.default_rng(5)
        face = np.full(6, 1 / 6)
        few = np.stack([logistic(rng, 150, loc=0.2, scale=0.3, face=face) for _ in range(6)])
        eager = dataclasses.replace(OPTIONS, learning_rate=0.3, epochs=3)
        found = fit_many(KEY, jnp.asarray(few), options=eager)
        assert (np.asarray(found.epochs) == 0).any()

    def test_a_face_never_seen_is_unlikely_but_possible(self):
        rng = np.random.default_rng(3)
        only = gaussian(rng, FEWEST, face=[1, 0, 0, 0, 0, 0])
        found = fit(KEY, jnp.asarray(only), options=dataclasses.replace(OPTIONS, epochs=2))
        log_prob = found.density(0).log_prob(jnp.array([0.1, 0.2, -1.0]))
        assert np.isfinite(log_prob)

    def test_kernels_on_a_line_have_a_finite_density(self):
        line = np.tile([1.0, 0.25, 0.25], (FEWEST, 1)).astype(np.float32)
        found = fit(KEY, jnp.asarray(line), options=dataclasses.replace(OPTIONS, epochs=2))
        assert np.isfinite(found.log_prob).all()

    def test_too_few_kernels_are_refused(self):
        with pytest.raises(ValueError, match=f"expected {FEWEST} kernels or more"):
            fit(KEY, jnp.ones((FEWEST - 1, 9)))


class TestEarlyStopping:
    """Epoch after epoch of one parameter, which is the number of the epoch."""

    @staticmethod
    def run(likelihoods, patience):
        none = jnp.array(0)
        state = _State(none, none, none, jnp.array(-jnp.inf), none, none, none)
        for epoch, likelihood in enumerate(likelihoods, 1):
            state = _judged(state, jnp.array(epoch), none, jnp.array(likelihood), patience)
        return int(state.best), int(state.best_epoch), int(state.fruitless)

    def test_the_best_epoch_is_kept(self):
        assert self.run([-3.0, -1.0, -2.0, -1.5], 5) == (2, 2, 2)

    def test_what_comes_after_patience_ran_out_does_not_count(self):
        assert self.run([-3.0, -2.0, -2.5, -2.5, -1.0], 2) == (2, 2, 3)
        assert self.run([-3.0, -2.0, -2.5, -2.5, -1.0], 3) == (5, 5, 0)

    def test_a_likelihood_that_is_no_number_is_never_the_best(self):
        assert self.run([-3.0, float("nan"), -2.0], 5) == (3, 3, 0)


class TestOptions:
    @pytest.mark.parametrize(
        "wrong",
        [{"layers": 0}, {"batch": 0}, {"held_out": 1.0}, {"stopping": 0.0}, {"learning_rate": 0.0}],
    )
    def test_what_cannot_be_is_refused(self, wrong):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"expected .*{name}"):
            FitOptions(**wrong)
