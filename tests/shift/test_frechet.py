import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from jax.test_util import check_grads

from jfilters.kernels import Kernels, Layer
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


@pytest.mark.parametrize("seed", range(2))
def test_on_the_device_against_float64(seed):
    a, b = some(50, seed), some(80, seed + 10, spread=(0.3, 0.4, 1, 2), shift=0.3)
    on_device = jax.jit(frechet)(on_the_device(a), on_the_device(b))
    assert float(on_device) == pytest.approx(reference(a, b), rel=1e-4)
    assert float(frechet(on_the_device(a), on_the_device(a))) == pytest.approx(0, abs=1e-5)


def on_the_device(moments):
    return Moments(*(jnp.asarray(leaf, jnp.zeros(()).dtype) for leaf in moments))


def test_gradient_is_that_of_finite_differences():
    with jax.enable_x64(True):
        a, b = some(50, 0), some(80, 1, shift=0.3)
        check_grads(
            lambda mean, scatter: frechet(
                on_the_device(a), Moments(jnp.asarray(80.0), mean, scatter)
            ),
            (jnp.asarray(b.mean), jnp.asarray(b.scatter)),
            order=1,
            modes=["fwd", "rev"],
            rtol=1e-5,
        )


@pytest.mark.parametrize("scatter", [np.eye(D), np.zeros((D, D)), np.diag([1.0, 1, 0, 0])])
def test_gradient_is_finite_where_eigenvalues_are_equal_or_zero(scatter):
    moments = on_the_device(Moments(np.array(10.0), np.zeros(D), scatter))
    other = on_the_device(Moments(np.array(10.0), np.ones(D), np.eye(D)))
    gradient = jax.grad(lambda m: frechet(m, other))(moments)
    assert all(np.isfinite(leaf).all() for leaf in gradient)


def test_of_kernels_it_is_that_of_their_normalized_moments():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(300, 9)), rng.normal(size=(200, 9)) ** 3
    unit = [x / np.abs(x).max(axis=1, keepdims=True) for x in (first, second)]
    expected = float(frechet(*map(moments_of, unit)))
    a, b = jnp.asarray(first, jnp.float32), jnp.asarray(second, jnp.float32)
    assert float(jax.jit(frechet)(a, b)) == pytest.approx(expected, rel=1e-4)
    weight = b.reshape(20, 10, 3, 3)
    layers = Kernels((weight, weight[:10]), (Layer("a"), Layer("b")))
    np.testing.assert_allclose(frechet(a, layers), [frechet(a, b), frechet(a, b[:100])], rtol=1e-4)
    masked = frechet(a, b, where_b=np.arange(200) < 100)
    assert float(masked) == pytest.approx(float(frechet(a, b[:100])), rel=1e-4)
    gradient = jax.grad(lambda k: frechet(a, k))(jnp.zeros((5, 9)))
    assert not np.asarray(gradient).any()


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_lowers_with_its_gradient_for_every_platform(platform):
    shape = jax.ShapeDtypeStruct((64, 9), jnp.float32)
    traced = jax.jit(jax.grad(frechet)).trace(shape, shape)
    assert traced.lower(lowering_platforms=(platform,)).as_text()


def test_refuses_other_taps_and_what_is_no_kernel_set():
    with pytest.raises(ValueError, match="of 9 taps, got 4"):
        frechet(np.ones((5, 9), np.float32), some(10, 0))
    with pytest.raises(TypeError, match="weights or Kernels, got dict"):
        frechet({}, some(10, 0))
