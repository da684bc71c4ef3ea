import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from jfilters.shift import frechet
from jfilters.shift._frechet import _drawn_moments
from jfilters.shift.internal import frechet_components, frechet_null
from jfilters.statistics import Moments, covariance

D = 4


def moments_of(points):
    mean = points.mean(axis=0)
    centered = points - mean
    return Moments(np.array(float(len(points))), mean, centered.T @ centered)


def some(n, seed, spread=(1, 0.5, 0.2, 0.1), shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.normal(size=(D, D)))[0]
    return moments_of(rng.normal(size=(n, D)) * spread @ mixing + shift)


def reference(a, b):
    first, second = covariance(a), covariance(b)
    root = scipy.linalg.sqrtm(first @ second).real
    return np.sum((a.mean - b.mean) ** 2) + np.trace(first + second - 2 * root)


@pytest.mark.parametrize("seed", range(3))
def test_reference(seed):
    a, b = some(50, seed), some(80, seed + 10, spread=(0.3, 0.4, 1, 2), shift=0.3)
    assert float(frechet(a, b)) == pytest.approx(reference(a, b), rel=1e-9)


def test_laws():
    a, b = some(50, 0), some(50, 1, shift=1.0)
    assert float(frechet(a, a)) == pytest.approx(0, abs=1e-12)
    assert float(frechet(a, b)) == pytest.approx(float(frechet(b, a)), rel=1e-10)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
    turned = (
        Moments(m.count, rotation @ m.mean, rotation @ m.scatter @ rotation.T) for m in (a, b)
    )
    assert float(frechet(*turned)) == pytest.approx(float(frechet(a, b)), rel=1e-9)


def test_components_add_up_and_know_their_direction():
    a, b = some(50, 0), some(70, 1)
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(D, D)))[0]
    shares = frechet_components(a, b, axes)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(float(frechet(a, b)), rel=1e-9)
    moved = Moments(a.count, a.mean + 2 * axes[1], a.scatter)
    np.testing.assert_allclose(frechet_components(a, moved, axes), [0, 4, 0, 0], atol=1e-9)


def test_axes_that_stretch_one_by_one():
    # Diagonal covariances: (sigma_a - sigma_b)^2 a component.
    a, b = (
        Moments(np.array(2.0), np.zeros(D), np.diag(s)) for s in ([1.0, 4, 9, 0], [4.0, 4, 0, 1])
    )
    np.testing.assert_allclose(frechet_components(a, b, np.eye(D)), [1, 0, 9, 1], atol=1e-9)


def test_stacks():
    many = [some(30, seed) for seed in range(3)]
    stacked = Moments(
        *(np.stack([getattr(m, f) for m in many]) for f in ("count", "mean", "scatter"))
    )
    first = Moments(stacked.count[:1], stacked.mean[:1], stacked.scatter[:1])
    expected = [float(frechet(many[0], m)) for m in many]
    np.testing.assert_allclose(frechet(first, stacked), expected, atol=1e-12)


@pytest.mark.parametrize("sizes", [(40.0, 90.0), (3.0, 40.0)])
def test_null_is_that_of_drawn_kernels(sizes):
    rng = np.random.default_rng(0)
    pooled = some(1000, 5)
    drawn = frechet_null(rng, pooled, sizes, replicates=400)
    root = np.linalg.cholesky(covariance(pooled))
    direct = [
        float(frechet(*(moments_of(rng.normal(size=(int(n), D)) @ root.T) for n in sizes)))
        for _ in range(400)
    ]
    assert scipy.stats.ks_2samp(drawn, direct).pvalue > 0.01


def test_few_drawn_kernels_span_no_more_than_they_can():
    root = np.diag([1.0, 0.8, 0.6, 0.4])
    drawn = _drawn_moments(np.random.default_rng(0), root, 3.0, 2000)
    assert (np.linalg.matrix_rank(drawn.scatter, tol=1e-9) == 2).all()
    np.testing.assert_allclose(covariance(drawn).mean(axis=0), root @ root, atol=0.08)
