"""The drift with a gradient: near D, exact for whole kernels, with finite and right gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jfilters.shift import Reference, drift, soft_drift
from jfilters.shift._soft_histogram import _by_comparison, _by_scatter, unit_kernels
from jfilters.statistics import Basis, fixed_edges
from jfilters.statistics.internal import host_normalize

AXES = Basis(mean=np.zeros(9), components=np.eye(9), variance_ratio=np.full(9, 1 / 9))
EDGES = fixed_edges(9)
IN = {"basis": AXES, "edges": EDGES}


def normal(rng, n):
    return rng.normal(size=(n, 9))


def stretched(rng, n):
    return normal(rng, n) * np.linspace(1, 3, 9)


def laplace(rng, n):
    return rng.laplace(size=(n, 9))


def even(rng, n):
    return rng.uniform(-1, 1, size=(n, 9))


def heavy(rng, n):
    return rng.standard_cauchy(size=(n, 9))


def centered(rng, n):
    return 0.3 * normal(rng, n) + np.eye(9)[4]


def spiked(rng, n):
    return 0.1 * normal(rng, n) + np.eye(9)[rng.integers(0, 9, n)]


def correlated(rng, n):
    places = np.stack(np.meshgrid(range(3), range(3)), axis=-1).reshape(9, 2)
    apart = np.sum((places[:, None] - places[None]) ** 2, axis=-1)
    return normal(rng, n) @ np.linalg.cholesky(np.exp(-apart / 4)).T


LAWS = (normal, stretched, laplace, even, heavy, centered, spiked, correlated)
PAIRS = [(first, second) for i, first in enumerate(LAWS) for second in LAWS[i + 1 :]]


def kernels(law, n, seed):
    return law(np.random.default_rng(seed), n).astype(np.float32)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(law.__name__ for law in pair))
def test_within_2_percent_of_drift(pair):
    first, second = (kernels(law, 10_000, seed) for seed, law in enumerate(pair))
    shared = Reference.of(np.concatenate([first, second]))
    common = {"basis": shared.basis, "edges": shared.edges}
    expected = float(drift(first, second, **common))
    # Sampling alone makes some 0.01 at these sizes, a part of which is bins of a single kernel.
    assert float(soft_drift(first, second, **common)) == pytest.approx(expected, rel=0.02, abs=5e-4)
    of_histogram = soft_drift(Reference.of(first, **common), second)
    assert float(of_histogram) == pytest.approx(expected, rel=0.02, abs=5e-4)


def test_the_error_is_of_second_order_in_the_bin_width():
    # Enough kernels that no bin which matters is empty: what stays is the shape of the bins.
    first, second = kernels(normal, 200_000, 0), kernels(stretched, 200_000, 1)
    expected = float(drift(first, second, **IN))
    errors = [
        abs(float(soft_drift(first, second, basis=AXES, edges=fixed_edges(9, bins), width=1.0)) -
            float(drift(first, second, basis=AXES, edges=fixed_edges(9, bins))))
        for bins in (20, 40)
    ]  # fmt: skip
    assert expected > 0.1
    assert errors[1] < 0.4 * errors[0]


def test_of_whole_kernels_it_is_drift():
    rng = np.random.default_rng(0)
    p, q = rng.poisson(2, size=(2, 9, 70))
    expected = float(drift(p, q, **IN))
    assert float(soft_drift(p, q, **IN)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("width", [0.05, 1.0])
def test_laws(width):
    a, b = kernels(normal, 500, 0), kernels(heavy, 400, 1)
    soft = jax.jit(lambda a, b: soft_drift(a, b, width=width, **IN))
    assert float(soft(a, a)) == 0
    assert float(soft(a, b)) == pytest.approx(float(soft(b, a)), rel=1e-5)
    assert float(soft(8 * a, b)) == pytest.approx(float(soft(a, b)), rel=1e-5)
    mapped = jax.vmap(soft, in_axes=(0, None))(np.stack([b, 1 / b]), a)
    np.testing.assert_allclose(mapped, [soft(b, a), soft(1 / b, a)], rtol=1e-4)


@pytest.mark.parametrize("width", [0.05, 1.0])
@pytest.mark.parametrize("law", [normal, heavy, spiked])
def test_gradients_are_those_of_finite_differences(law, width):
    with jax.enable_x64(True):
        a = jnp.asarray(law(np.random.default_rng(0), 40), jnp.float64)
        b = jnp.asarray(normal(np.random.default_rng(1), 60), jnp.float64)
        soft = jax.jit(lambda kernels: soft_drift(kernels, b, width=width, **IN))
        check_grads(soft, (a,), order=1, modes=["fwd", "rev"], rtol=1e-4, atol=1e-5, eps=1e-7)
        assert float(jnp.abs(jax.grad(soft)(a)).max()) > 1e-4


DEGENERATE = {
    "zero": np.zeros((20, 9)),
    "some zero": kernels(normal, 20, 0) * (np.arange(20) > 4)[:, None],
    "ties": np.sign(kernels(normal, 20, 0)),
    "equal": np.ones((20, 9)),
    "one": kernels(normal, 1, 0),
    "tiny": kernels(normal, 20, 0) * 1e-30 * (np.arange(9) > 0),
    "huge": kernels(normal, 20, 0) * 1e30,
    "on the edges": np.concatenate([EDGES[35:44, None] * np.ones(8), np.full((9, 1), 3)], axis=1),
}


@pytest.mark.parametrize("width", [0.05, 1.0])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_kernels_have_a_finite_gradient(case, width):
    weights = np.asarray(DEGENERATE[case], np.float32)
    target = Reference.of(kernels(heavy, 300, 1), **IN)
    value, gradient = jax.value_and_grad(lambda k: soft_drift(k, target, width=width))(weights)
    assert np.isfinite(float(value))
    assert jnp.isfinite(gradient).all()
    assert (np.asarray(gradient)[np.abs(weights).max(axis=1) == 0] == 0).all()


def test_a_kernel_outside_the_edges_has_no_gradient():
    a, b = kernels(normal, 50, 0), kernels(heavy, 50, 1)
    narrow = {"basis": AXES._replace(mean=np.full(9, 5.0)), "edges": EDGES}
    gradient = jax.grad(lambda k: soft_drift(k, b, width=1.0, **narrow))(a)
    assert not np.asarray(gradient).any()


def test_the_gradient_of_an_empty_bin_is_bounded():
    # One kernel near the edge of a bin that is full on the other side, and empty here.
    target = Reference.of(np.tile(np.float32([0.5] + 8 * [1]), (1000, 1)), **IN)
    edge = EDGES[np.searchsorted(EDGES, 0.5) - 1]
    for distance in (1e-2, 1e-3, 1e-4, 1e-6):
        kernel = np.float32([[edge - distance] + 8 * [1]])
        gradient = jax.grad(lambda k: soft_drift(k, target, width=1.0))(np.tile(kernel, (30, 1)))
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() < 100


def test_moves_kernels_towards_the_reference():
    target = Reference.of(kernels(stretched, 2000, 0))
    weights = jnp.asarray(kernels(normal, 500, 1))
    step = jax.jit(lambda w: w - 30 * jax.grad(lambda k: soft_drift(target, k, width=1.0))(w))
    first = float(drift(target, weights))
    for _ in range(60):
        weights = step(weights)
    assert float(drift(target, weights)) < 0.8 * first


@pytest.mark.parametrize("width", [0.05, 1.0])
def test_both_ways_of_summing_agree(width):
    position = np.random.default_rng(0).uniform(-3, 73, size=(9, 300)).astype(np.float32)
    position[0, :71] = np.arange(71)
    position = jnp.asarray(position)
    weight = jnp.asarray(np.arange(300) % 3 > 0, jnp.float32)
    sums = [f(position, weight, bins=70, width=width) for f in (_by_scatter, _by_comparison)]
    np.testing.assert_allclose(*sums, atol=2e-4)
    np.testing.assert_allclose(sums[0].sum(axis=1), 200, rtol=1e-6)


def test_normalized_as_normalize_does():
    weights = kernels(heavy, 200, 0)
    np.testing.assert_allclose(
        unit_kernels(jnp.asarray(weights)), host_normalize(weights), rtol=1e-6
    )


def test_masks_half_precision_and_nan():
    a, b = kernels(normal, 300, 0), kernels(stretched, 300, 1)
    spoiled = np.where(np.arange(300)[:, None] < 200, a, np.nan).astype(np.float32)
    masked = soft_drift(spoiled, b, where_a=np.arange(300) < 200, **IN)
    assert float(masked) == pytest.approx(float(soft_drift(a[:200], b, **IN)), rel=1e-5)
    assert np.isnan(float(soft_drift(spoiled, b, **IN)))
    gradient = jax.grad(lambda k: soft_drift(k, b, **IN))(jnp.asarray(a, jnp.bfloat16))
    assert gradient.dtype == jnp.bfloat16


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_lowers_with_its_gradient_for_every_platform(platform):
    shape = jax.ShapeDtypeStruct((256, 9), jnp.float32)
    traced = jax.jit(jax.grad(lambda a, b: soft_drift(a, b, **IN))).trace(shape, shape)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.scatter" in text) == (platform == "cpu")
    assert "f64" not in text


@pytest.mark.parametrize("width", [0.0, 1.5, -1.0])
def test_refuses_a_width_that_is_no_part_of_a_bin(width):
    with pytest.raises(ValueError, match="over 0 and up to 1"):
        soft_drift(np.ones((3, 9), np.float32), np.ones((3, 9), np.float32), width=width, **IN)
