"""Divergences whose value is known: in closed form, of halves of one set, and where drift is blind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import kernel_drift
from jfilters.density import FitOptions, divergences, two_sample_tests

from .populations import SMALL, logistic, logistic_kl, placed

pytestmark = pytest.mark.slow

OPTIONS = FitOptions(**SMALL)
N = 6000
A, B, SCALE = 0.0, 0.4, 0.4
FACE_A, FACE_B = np.full(6, 1 / 6), np.array([0.3, 0.1, 0.1, 0.2, 0.2, 0.1])


@pytest.fixture(scope="module")
def kernels():
    """Two known populations, and the first one once more."""
    rng = np.random.default_rng(0)
    first, second, again = (
        logistic(rng, N, loc=loc, scale=SCALE, face=face)
        for loc, face in ((A, FACE_A), (B, FACE_B), (A, FACE_A))
    )
    return jnp.asarray(np.stack([first, second, again]))


@pytest.fixture(scope="module")
def found(kernels):
    return divergences(jax.random.key(0), kernels, options=OPTIONS)


def face_kl(p, q):
    return float(np.sum(p * np.log(p / q)))


class TestKnown:
    def test_both_directions_are_recovered(self, found):
        forward = face_kl(FACE_A, FACE_B) + 2 * logistic_kl(B - A, SCALE)
        backward = face_kl(FACE_B, FACE_A) + 2 * logistic_kl(B - A, SCALE)
        assert abs(found.kl[0, 1] - forward) < 2 * found.kl_error[0, 1]
        assert abs(found.kl[1, 0] - backward) < 2 * found.kl_error[1, 0]
        assert abs(found.jeffreys[0, 1] - forward - backward) < 2 * found.jeffreys_error[0, 1]
        assert found.jeffreys_error[0, 1] < 0.1 * found.jeffreys[0, 1]
        assert found.distinguishable[0, 1]

    def test_two_samples_of_one_population_are_not_told_apart(self, found):
        assert abs(found.jeffreys[0, 2]) < 2 * found.jeffreys_error[0, 2]
        assert abs(found.kl[0, 2]) < 3 * found.kl_error[0, 2]
        assert abs(found.kl[2, 0]) < 3 * found.kl_error[2, 0]
        assert not found.distinguishable[0, 2]

    def test_nothing_diverges_from_itself(self, found):
        assert not found.kl.diagonal().any()
        assert not found.kl_error.diagonal().any()
        assert not found.distinguishable.diagonal().any()

    def test_jeffreys_is_the_sum_and_symmetric(self, found):
        np.testing.assert_allclose(found.jeffreys, found.kl + found.kl.T, atol=1e-12)
        np.testing.assert_allclose(found.jeffreys_error, found.jeffreys_error.T, atol=1e-12)

    def test_the_classifier_agrees(self, kernels):
        tests = two_sample_tests(jax.random.key(0), kernels)
        by_pair = {tuple(pair): k for k, pair in enumerate(tests.pairs.tolist())}
        different, same = by_pair[0, 1], by_pair[0, 2]
        assert tests.p[different] < 1e-6 < 1e-3 < tests.p[same]
        assert tests.accuracy[different] > 0.55
        expected = face_kl(FACE_A, FACE_B) + face_kl(FACE_B, FACE_A)
        expected += 4 * logistic_kl(B - A, SCALE)
        assert tests.jeffreys[different] == pytest.approx(expected, rel=0.4)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(1)
    face = np.zeros(2 * N, int)
    rest = np.tanh(rng.normal(0, [0.9, 0.4], (2 * N, 2)))
    joint = rest[N:]
    # The sign of one tap tells whether the other is large: no mean, variance or histogram changes.
    median = np.median(np.abs(joint[:, 0]))
    joint[:, 1] = np.abs(joint[:, 1]) * np.where(np.abs(joint[:, 0]) > median, 1, -1)
    return placed(face, rest).reshape(2, N, 3)


class TestJointShape:
    """Equal histograms of every component, and another joint shape: a density alone sees it."""

    def test_drift_does_not_see_it(self, pair):
        halves = pair[0, : N // 2], pair[0, N // 2 :]
        chance = float(kernel_drift(*map(jnp.asarray, halves)))
        assert float(kernel_drift(*map(jnp.asarray, pair))) < 2 * chance

    def test_the_density_does(self, pair):
        found = divergences(jax.random.key(0), jnp.asarray(pair), options=OPTIONS)
        assert found.distinguishable[0, 1]
        # Where the first is even the second takes one of two signs: ln 2 nats, less what a flow blurs.
        assert 0.3 < found.kl[1, 0] < np.log(2) + 3 * found.kl_error[1, 0]


class TestBadInput:
    def test_too_few_kernels_a_fold(self):
        with pytest.raises(ValueError, match="2 folds or more of 50 kernels or more, got 4 of 40"):
            divergences(jax.random.key(0), jnp.ones((2, 160, 9)))
