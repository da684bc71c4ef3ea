import jax
import numpy as np
import scipy.stats

from jfilters.density import baselines
from jfilters.density.internal import BASELINES, log_area, to_charts

from .populations import gaussian

FACE = np.array([0.3, 0.1, 0.05, 0.05, 0.2, 0.1, 0.1, 0.1])


def drawn(n, seed, d=4):
    rng = np.random.default_rng(seed)
    return gaussian(rng, n, loc=0.3, scale=0.5, d=d, face=FACE[: 2 * d] / FACE[: 2 * d].sum())


class TestBaselines:
    def test_uniform_is_one_over_the_area(self):
        found = baselines(drawn(200, 0), drawn(50, 1))["uniform"]
        np.testing.assert_allclose(found, -float(log_area(4)))

    def test_gaussian_against_scipy(self):
        trained, judged = drawn(500, 0), drawn(50, 1)
        (face, rest), (judged_face, judged_rest) = (
            tuple(np.asarray(x) for x in to_charts(jax.numpy.asarray(k))) for k in (trained, judged)
        )
        share = (np.bincount(face, minlength=8) + 0.5) / (len(face) + 4)
        free = np.arctanh(rest.astype(np.float64))
        normal = scipy.stats.multivariate_normal(free.mean(0), np.cov(free.T))
        r = judged_rest.astype(np.float64)
        expected = (
            np.log(share)[judged_face] + normal.logpdf(np.arctanh(r)) - np.log(1 - r**2).sum(1)
        )
        np.testing.assert_allclose(baselines(trained, judged)["gaussian"], expected, rtol=1e-4)

    def test_the_histogram_integrates_to_one(self):
        rng = np.random.default_rng(2)
        points = gaussian(rng, 20_000, d=2)
        points[:, :] = np.where(np.abs(points) == 1, points, rng.uniform(-1, 1, points.shape))
        log_prob = baselines(drawn(500, 0, d=2), points)["histogram"]
        assert abs(np.exp(log_prob + float(log_area(2))).mean() - 1) < 0.05

    def test_they_come_from_the_simplest_on(self):
        found = baselines(drawn(500, 0), drawn(500, 1))
        assert tuple(found) == BASELINES
        assert found["uniform"].mean() < found["histogram"].mean()

    def test_one_other_tap_alone(self):
        found = baselines(drawn(200, 0, d=2), drawn(20, 1, d=2))
        assert all(np.isfinite(values).all() for values in found.values())
