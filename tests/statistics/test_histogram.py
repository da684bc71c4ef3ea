import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.statistics import (
    coefficient_histogram,
    fit_basis,
    fixed_edges,
    histogram,
    moments,
    normalize,
    project,
)
from jfilters.statistics.internal import coefficient_range


def sample(n, d=9, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(n, d)) * rng.lognormal(size=(n, 1)), jnp.float32)


def fitted(kernels):
    return fit_basis(moments(normalize(kernels)))


BASIS = fitted(sample(2000) * jnp.linspace(1, 2, 9)[None])


jitted = jax.jit(coefficient_histogram, static_argnames="bins")
range_of = jax.jit(coefficient_range)


def count(kernels, valid, low=-2.0, high=2.0, bins=70, basis=BASIS):
    return jitted(kernels, basis, low=low, high=high, bins=bins, where=valid)


def reference(kernels, basis, edges):
    kernels = np.asarray(kernels, np.float64)
    normalized = kernels / np.abs(kernels).max(axis=1, keepdims=True)
    coefficients = (normalized - basis.mean) @ basis.components.T
    caught = np.clip(coefficients, edges[0], edges[-1])
    counts = np.stack([np.histogram(column, edges)[0] for column in caught.T])
    return counts, np.sum((coefficients < edges[0]) | (coefficients > edges[-1]))


def test_fixed_edges():
    edges = fixed_edges(9)
    assert edges.shape == (71,)
    assert (edges[0], edges[-1]) == pytest.approx((-3.3, 3.3), abs=1e-15)
    assert edges.dtype == np.float64


@pytest.mark.parametrize(("d", "bins"), [(0, 70), (9, 0)])
def test_fixed_edges_refuse_nothing(d, bins):
    with pytest.raises(ValueError, match=f"got d = {d} and bins = {bins}"):
        fixed_edges(d, bins)


@pytest.mark.parametrize(("d", "limit"), [(9, 3.3), (9, 0.7), (16, 4.4)])
def test_hot_path_against_float64(d, limit):
    kernels = sample(2000, d)
    basis = BASIS if d == 9 else fitted(kernels)
    got, outside = count(kernels, None, -limit, limit, basis=basis)
    expected, expected_outside = reference(kernels, basis, np.linspace(-limit, limit, 71))
    # A coefficient within float32 rounding of an edge may fall to either side.
    assert np.abs(got - expected).sum() <= 6
    assert abs(int(outside) - expected_outside) <= 2
    assert int(got.sum()) == 2000 * d
    assert (expected_outside > 0) == (limit < 1)


def test_bins_are_those_of_numpy_on_every_edge():
    edges = np.linspace(-4, 4, 33)
    column = np.concatenate([edges, edges[:-1] + 0.1, edges[1:] - 0.1])
    coefficients = jnp.asarray(np.stack([column, -column], axis=1), jnp.float32)
    expected = np.stack([np.histogram(c, edges)[0] for c in np.asarray(coefficients).T])
    got = histogram(coefficients, edges)
    np.testing.assert_array_equal(got, expected)


def test_end_bins_catch_what_falls_outside():
    coefficients = jnp.asarray([[-1e30], [-1.1], [-1.0], [1.0], [1.1], [jnp.inf]])
    got = histogram(coefficients, np.linspace(-1, 1, 5))
    np.testing.assert_array_equal(got, [[3, 0, 0, 3]])


def test_nothing_lies_outside_the_range():
    kernels = sample(2000)
    valid = jnp.ones(2000, bool)
    low, high = range_of(kernels, BASIS, where=valid)
    _, outside = count(kernels, valid, low - 1e-5, high + 1e-5)
    assert outside == 0
    _, outside = count(kernels, valid, low + 1e-5, high - 1e-5)
    assert outside == 2


def test_range_against_projection():
    kernels, valid = sample(2000), jnp.arange(2000) < 200
    coefficients = project(normalize(kernels[:200]), BASIS)
    expected = coefficients.min(), coefficients.max()
    np.testing.assert_allclose(range_of(kernels, BASIS, where=valid), expected, atol=1e-6)


def test_hot_path_equals_histogram_of_projection():
    kernels, valid = sample(2000), jnp.arange(2000) < 1500
    edges = np.linspace(-2, 2, 71)
    expected = histogram(project(normalize(kernels), BASIS), edges, where=valid)
    assert np.abs(count(kernels, valid)[0] - expected).sum() <= 4


def test_zero_kernels_fall_where_the_mean_is_missing():
    got, _ = count(jnp.zeros((2000, 9)), jnp.arange(2000) < 5)
    expected = np.histogram(-(BASIS.components @ BASIS.mean)[0], np.linspace(-2, 2, 71))[0]
    np.testing.assert_array_equal(got[0], 5 * expected)


def test_nothing_valid_counts_nothing():
    counts, outside = count(jnp.full((2000, 9), jnp.nan), jnp.zeros(2000, bool))
    assert counts.sum() == 0
    assert outside == 0


@pytest.mark.parametrize("shape", [(8, 16), (2, 3, 16)])
def test_slots_equal_a_loop(shape):
    slots = int(np.prod(shape[:-1]))
    kernels = sample(slots * shape[-1]).reshape(*shape, 9)
    valid = jnp.asarray(np.random.default_rng(0).random(shape) < 0.8)
    batched = count
    for _ in shape[:-1]:
        batched = jax.vmap(batched)
    got = jax.tree.map(
        lambda leaf: leaf.reshape(slots, *leaf.shape[len(shape) - 1 :]),
        (jax.jit(batched)(kernels, valid)),
    )
    rows = kernels.reshape(slots, shape[-1], 9), valid.reshape(slots, shape[-1])
    for slot in range(slots):
        counts, outside = count(rows[0][slot], rows[1][slot])
        np.testing.assert_array_equal(got[0][slot], counts)
        assert got[1][slot] == outside


def test_fields_count_as_a_scatter_does(monkeypatch):
    kernels, valid = sample(2000), jnp.arange(2000) < 1500
    expected = count(kernels, valid)
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, default, **others: default(*args)
    )
    bounds = {"low": -2.0, "high": 2.0}
    in_fields = coefficient_histogram(kernels, BASIS, **bounds, bins=70, where=valid)
    for a, b in zip(in_fields, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_scatters_on_cpu_alone_and_nowhere_in_float64(platform):
    batched = jax.jit(jax.vmap(count))
    traced = batched.trace(
        jax.ShapeDtypeStruct((4, 256, 9), jnp.float32), jax.ShapeDtypeStruct((4, 256), bool)
    )
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.scatter" in text) == (platform == "cpu")
    assert not re.search(r"\bf64\b|xf64", text)


def test_lowers_for_all_platforms_at_once():
    traced = jax.jit(count).trace(
        jax.ShapeDtypeStruct((256, 9), jnp.float32), jax.ShapeDtypeStruct((256,), bool)
    )
    assert traced.lower(lowering_platforms=("tpu", "cuda", "cpu")).as_text()


@pytest.mark.parametrize("edges", [[0.0], [0.0, 1.0, 3.0], [1.0, 0.0], [0.0, 0.0, 0.0]])
def test_refuses_edges_that_are_not_uniform(edges):
    with pytest.raises(ValueError, match="increasing, equally spaced"):
        histogram(jnp.ones((2, 9)), np.asarray(edges))
