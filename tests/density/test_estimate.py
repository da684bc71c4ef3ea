"""KL from log-ratios with known errors: of first order it is free of them, and its error is the spread."""

import numpy as np
import pytest

from jfilters.density._estimate import _contrast, estimated

SHIFT = 0.7
"""Of two normal variables of deviation 1: J is its square, KL half of that both ways."""


def scores(rng, n, *, noise=0.0, bias=0.0, views=2, folds=3, shift=SHIFT):
    """Log-densities of two sets under two densities, of which the second is noisy at every kernel.

    `bias` moves the log-ratio by bias * (x**2 - 1), as a fit of a wrong scale does.
    """
    size = n // folds
    points = np.stack([rng.normal(mean, 1, (folds, 1, size)) for mean in (0, shift)])
    under = np.stack([-((points - mean) ** 2) / 2 for mean in (0, shift)])
    under = np.repeat(under, views, axis=3)
    under[1] += bias * (points**2 - 1)
    return under + noise * rng.normal(size=under.shape) * np.array([0, 1]).reshape(2, 1, 1, 1, 1)


def jeffreys(repeats=200, **options):
    """J and its error of repeated draws."""
    rng = np.random.default_rng(0)
    found = [estimated(scores(rng, **options)) for _ in range(repeats)]
    return np.array([(table.jeffreys[0, 1], table.jeffreys_error[0, 1]) for table in found]).T


class TestBias:
    def test_without_errors_it_is_the_mean_of_the_log_ratio(self):
        values, _ = jeffreys(n=3000, repeats=50)
        assert values.mean() == pytest.approx(SHIFT**2, abs=4 * values.std() / np.sqrt(50))

    @pytest.mark.parametrize("noise", [0.3, 1.0])
    @pytest.mark.parametrize("views", [2, 3, 4])
    def test_noise_of_the_fits_is_missing_from_no_value(self, noise, views):
        values, _ = jeffreys(n=3000, noise=noise, views=views)
        assert values.mean() == pytest.approx(SHIFT**2, abs=4 * values.std() / np.sqrt(200))
        # The variational bound without the contrast would be off by E[exp(noise) - 1], many errors.
        assert np.expm1(noise**2 / 2 / views) > 20 * values.std() / np.sqrt(200) or noise < 1

    def test_an_error_of_the_log_ratio_counts_with_its_square_and_never_upwards(self):
        exact = jeffreys(n=3000)[0].mean()
        small, large = (exact - jeffreys(n=3000, bias=b)[0].mean() for b in (0.05, 0.1))
        # E of 2 (x^2 - 1)^2 / 2 over both sets, but for the third order.
        assert 0 < small < large
        assert large / small == pytest.approx(4, rel=0.3)


class TestError:
    @pytest.mark.parametrize("noise", [0.0, 0.5])
    def test_it_is_the_spread(self, noise):
        values, errors = jeffreys(n=600, noise=noise, repeats=400)
        # Noise drawn for every kernel apart is no noise of fits, whose half is counted twice.
        expected = 1.0 if noise == 0 else 1.15
        assert values.std() / errors.mean() == pytest.approx(expected, abs=0.2)

    def test_fits_with_nothing_but_noise(self):
        """Linear fits of one population: the spread is that of a sum over pairs of kernels."""
        rng = np.random.default_rng(1)
        z = [null_of_linear_fits(rng, 300, d=20) for _ in range(300)]
        z = np.array([value / error for value, error in z])
        assert 0.85 < z.std() < 1.15
        assert abs(z.mean()) < 4 / np.sqrt(300)
        assert np.mean(z > 2) <= 0.06


def null_of_linear_fits(rng, n, d, folds=3):
    """J and its error of two normal sets whose densities know the mean of a fold each."""
    points = rng.normal(size=(2, folds, n // folds, d))
    means = points.mean(axis=2)
    under = np.empty((2, 2, folds, folds - 1, n // folds))
    for of in range(2):
        for fold in range(folds):
            other = means[of, [k for k in range(folds) if k != fold]]
            away = points[:, fold, None] - other[None, :, None]
            under[of, :, fold] = -(away**2).sum(axis=-1) / 2
    table = estimated(under)
    return table.jeffreys[0, 1], table.jeffreys_error[0, 1]


class TestLaws:
    @pytest.mark.parametrize("views", range(2, 8))
    def test_a_contrast_sums_to_zero_and_has_the_variance_of_the_mean(self, views):
        weights = _contrast(views)
        assert weights.sum() == pytest.approx(0)
        assert (weights**2).sum() == pytest.approx(1 / views)

    def test_sets_in_another_order_give_the_same(self):
        under = scores(np.random.default_rng(2), 300, noise=0.3)
        one, other = estimated(under), estimated(under[::-1, ::-1])
        np.testing.assert_allclose(one.kl, other.kl[::-1, ::-1])
        np.testing.assert_allclose(one.jeffreys_error, other.jeffreys_error[::-1, ::-1])

    def test_a_set_does_not_differ_from_itself(self):
        under = scores(np.random.default_rng(3), 300)
        table = estimated(under)
        assert not table.kl.diagonal().any()
        np.testing.assert_allclose(table.jeffreys, table.kl + table.kl.T)

    def test_sets_that_hardly_overlap_have_a_finite_value(self):
        table = estimated(scores(np.random.default_rng(4), 300, shift=12.0, noise=0.5))
        assert table.jeffreys[0, 1] == pytest.approx(144, rel=0.05)
        assert np.isfinite(table.jeffreys_error).all()

    def test_the_likelihood_is_that_of_own_densities(self):
        under = scores(np.random.default_rng(5), 300)
        expected = [under[i, i].mean() for i in range(2)]
        np.testing.assert_allclose(estimated(under).likelihood, expected)
