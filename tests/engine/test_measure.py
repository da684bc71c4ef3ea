"""LayerStatistics of kernels in memory: quality alone is what the whole measurement says of it."""

from dataclasses import asdict

import jax
import numpy as np
import pytest

from jfilters import Kernels, Layer, measure
from jfilters.engine import Options, measure_quality

OF_QUALITY = ("n_finite", "n_zero", "n_sparse", "n_below", "max_abs", "sum_abs", "orthogonality")


@pytest.fixture(scope="module")
def kernels():
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((16, c, 3, 3)).astype(np.float32) for c in (3, 16, 40)]
    weights[1][:3] *= 1e-4
    weights[2][0] = 0
    return Kernels(
        tuple(map(jax.numpy.asarray, weights)), tuple(Layer(f"conv{i}") for i in range(3))
    )


def test_quality_alone_is_that_of_the_whole(kernels):
    alone, whole = measure_quality(kernels), measure(kernels).statistics
    for name in OF_QUALITY:
        np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name), name)
    for name in ("raw", "clean"):
        jax.tree.map(np.testing.assert_array_equal, getattr(alone, name), getattr(whole, name))
    assert whole.normalized.count.all()
    assert not alone.normalized.count.any()


def test_cards_lie_as_the_layers_do(kernels):
    sizes = [weight.shape[0] * weight.shape[1] for weight in kernels.weights]
    largest = [float(abs(weight).max()) for weight in kernels.weights]
    for statistics in (measure_quality(kernels), measure(kernels).statistics):
        assert statistics.n_kernels.tolist() == sizes
        assert statistics.max_abs.tolist() == largest
    assert measure(kernels).statistics.histogram.sum(axis=(1, 2)).tolist() == [9 * n for n in sizes]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_a_weight_that_is_not_finite_is_found_wherever_it_lies(kernels, monkeypatch, bad, place):
    monkeypatch.setattr("jfilters.engine._prepare.IN_CACHE", 1_000)
    weight = np.array(kernels.weights[2])
    weight.reshape(-1)[place] = bad
    statistics = measure_quality(Kernels((jax.numpy.asarray(weight),), (Layer("conv"),)))
    assert statistics.n_nonfinite == [1]
    assert statistics.max_abs == [np.abs(weight[np.isfinite(weight)]).max()]


def test_cards_that_are_made_a_few_at_a_time_are_the_same(kernels, monkeypatch):
    expected = measure(kernels).statistics
    monkeypatch.setattr("jfilters.engine._accumulator.LAYERS_AT_ONCE", 2)
    jax.tree.map(
        np.testing.assert_array_equal, asdict(measure(kernels).statistics), asdict(expected)
    )


def test_nothing_is_left_without_quality(kernels):
    with pytest.raises(ValueError, match=r"expected options with quality"):
        measure_quality(kernels, Options(quality=False))


def offset(rng):
    return 1 + 1e-3 * rng.standard_normal((64, 32, 3, 3))


def of_two_kinds(rng):
    weight = 5 + rng.standard_normal((96, 40, 3, 3))
    weight[::2] = 0
    return weight


def alike(rng):
    return np.full((16, 80, 3, 3), 0.3)


@pytest.mark.parametrize("weight", [offset, of_two_kinds, alike])
def test_moments_about_a_center_of_a_few_kernels_are_those_of_all(weight):
    weight = weight(np.random.default_rng(0)).astype(np.float32)
    statistics = measure_quality(Kernels((jax.numpy.asarray(weight),), (Layer("conv"),)))
    rows = weight.reshape(-1, 9).astype(np.float64)
    mean = rows.mean(axis=0)
    scatter = (rows - mean).T @ (rows - mean)
    np.testing.assert_allclose(statistics.raw.mean[0], mean, rtol=1e-6)
    tolerance = 1e-5 * scatter.trace() + 1e-10 * len(rows)
    np.testing.assert_allclose(statistics.raw.scatter[0], scatter, rtol=0, atol=tolerance)
