import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.shift import drift, kernel_drift, null_level, probability
from jfilters.statistics import Basis


def sample(n=3000, d=9, seed=0, shape=1.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * np.linspace(1, shape, d)).astype(np.float32)


def reference(a, b, bins=70):
    """D after METHOD.md, in float64 and NumPy alone."""
    a, b = (x / np.abs(x).max(axis=1, keepdims=True) for x in (np.float64(a), np.float64(b)))
    pooled = np.concatenate([a, b])
    values, vectors = np.linalg.eigh(np.cov(pooled.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    edges = np.linspace(-1.1, 1.1, bins + 1) * np.sqrt(a.shape[1])
    p, q = (
        np.stack(
            [np.histogram(c, edges, density=True)[0] for c in ((x - pooled.mean(0)) @ vectors).T]
        )
        for x in (a, b)
    )
    p, q = (np.where(x == 0, np.finfo(np.float32).eps, x) for x in (p, q))
    p, q = (x / x.sum(axis=1, keepdims=True) for x in (p, q))
    return np.sum(values / values.sum() * np.sum((p - q) * np.log(p / q), axis=1))


@pytest.mark.parametrize(("d", "m"), [(9, 3000), (9, 500), (16, 3000)])
def test_against_float64(d, m):
    a, b = sample(d=d), sample(m, d=d, seed=1, shape=3.0)
    expected = reference(a, b)
    assert expected > 0.02
    # One kernel on the other side of an edge, where a bin holds few, moves D by about 1e-4.
    assert kernel_drift(a, b) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_laws():
    a, b = sample(), jnp.asarray(sample(1000, seed=1, shape=3.0))
    assert kernel_drift(a, a) == 0
    assert kernel_drift(a, b) == pytest.approx(kernel_drift(b, a), abs=1e-3)
    assert kernel_drift(a * 4, b * 0.25) == pytest.approx(kernel_drift(a, b), rel=1e-6)


def test_one_distribution_stays_near_the_null_level():
    got = kernel_drift(sample(20_000), sample(20_000, seed=1))
    highest = null_level(20_000, 20_000, np.full(9, 70), np.full(9, 1 / 9))
    assert 0 < got < 2 * highest


def test_takes_a_basis():
    axes = Basis(mean=np.zeros(9), components=np.eye(9), variance_ratio=np.eye(9)[0])
    a, b = sample(), sample(seed=1, shape=3.0)
    edges = np.linspace(-3.3, 3.3, 71)
    first = [
        probability(np.histogram((x / np.abs(x).max(axis=1, keepdims=True))[:, 0], edges)[0], edges)
        for x in (a, b)
    ]
    expected = drift(first[0][None], first[1][None], np.ones(1))
    assert kernel_drift(a, b, basis=axes) == pytest.approx(float(expected), abs=1e-4)


def test_fewer_bins_see_less():
    a, b = sample(), sample(seed=1, shape=3.0)
    assert kernel_drift(a, b, bins=10) < kernel_drift(a, b, bins=70)


@pytest.mark.parametrize("empty", ["first", "second"])
def test_refuses_an_empty_set(empty):
    sets = {"first": sample(), "second": sample()} | {empty: sample(0)}
    with pytest.raises(ValueError, match=f"none in the {empty} set"):
        kernel_drift(*sets.values())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_weights_that_are_not_finite(value):
    broken = sample()
    broken[3, 3] = value
    with pytest.raises(ValueError, match="NaN or infinity in the second set"):
        kernel_drift(sample(), broken)


def test_refuses_different_taps():
    with pytest.raises(ValueError, match="got 9 and 25 taps"):
        kernel_drift(sample(), sample(d=25))


def test_refuses_a_basis_of_other_taps():
    other = Basis(mean=np.zeros(4), components=np.eye(4), variance_ratio=np.full(4, 0.25))
    with pytest.raises(ValueError, match="basis of 4 taps"):
        kernel_drift(sample(), sample(), basis=other)


def test_refuses_sets_that_do_not_vary():
    with pytest.raises(ValueError, match="kernels that vary"):
        kernel_drift(np.zeros((3, 9)), np.zeros((3, 9)))
