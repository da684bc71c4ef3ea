"""Divergences whose value is known: in closed form, of halves of one set, and where drift is blind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import kernel_drift
from jfilters.density import FitOptions, _divergence, divergences, two_sample_tests
from jfilters.density._fit import train

from .populations import SMALL, gaussian, logistic, logistic_kl, placed

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
        assert abs(found.kl[0, 1] - forward) < 3 * found.kl_error[0, 1]
        assert abs(found.kl[1, 0] - backward) < 3 * found.kl_error[1, 0]
        assert abs(found.jeffreys[0, 1] - forward - backward) < 3 * found.jeffreys_error[0, 1]
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


class TestSplits:
    """Kernels that say by their face which unit they are of: whoever trains on them likes their kind."""

    def test_no_kernel_is_scored_by_a_density_that_saw_its_fold(self, monkeypatch):
        trained, stopped = [], []

        def record(key, training, stopping, options):
            trained.append(np.asarray(training))
            stopped.append(np.asarray(stopping))
            return train(key, training, stopping, options)

        monkeypatch.setattr(_divergence, "train", record)
        rng = np.random.default_rng(2)
        fold = np.tile(np.arange(3).repeat(60), (2, 1))
        faces = [np.eye(6)[2 * k : 2 * k + 2].sum(axis=0) / 2 for k in range(3)]
        sets = np.stack(
            [np.concatenate([gaussian(rng, 60, face=face) for face in faces]) for _ in range(2)]
        )
        options = FitOptions(layers=1, width=4, epochs=1)
        found = divergences(jax.random.key(0), jnp.asarray(sets), fold=fold, options=options)
        # One density a set and fold, which learns from one pair of faces alone.
        (training,), (stopping,) = trained, stopped
        assert (training.shape, stopping.shape) == ((6, 48, 3), (6, 12, 3))
        for part in (training, stopping):
            largest = np.argmax(np.abs(part), axis=2)
            assert (largest == np.tile(np.arange(3), 2)[:, None]).all()
        together = np.concatenate([training, stopping], axis=1)
        blocks = sets.reshape(6, 60, 3)
        assert (np.sort(together.view("V12"), axis=1) == np.sort(blocks.view("V12"), axis=1)).all()
        # Under densities of other faces a kernel has what the even share and half a kernel leave.
        assert (found.likelihood < np.log(0.5 / 51)).all()


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
        with pytest.raises(ValueError, match="3 folds or more of 50 kernels or more, got 3 of 40"):
            divergences(jax.random.key(0), jnp.ones((2, 120, 9)))

    def test_too_few_folds_to_see_the_noise_of_fits(self):
        with pytest.raises(ValueError, match="3 folds or more of 50 kernels or more, got 2 of 300"):
            divergences(jax.random.key(0), jnp.ones((2, 600, 9)), folds=2)

    def test_folds_of_other_sizes(self):
        fold = np.zeros((2, 600), int)
        fold[:, 300:] = 1
        with pytest.raises(
            ValueError, match="200 kernels in each of 3 folds of a set, got 0 to 300"
        ):
            divergences(jax.random.key(0), jnp.ones((2, 600, 9)), fold=fold)
