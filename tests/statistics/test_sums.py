"""Sums in one loop are those in float64, on every path, and add up part by part."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.statistics import moments
from jfilters.statistics.internal import WeightedPoints, moments_from_gram, sums, symmetric

SETS = (2, 3)
FAST = {"xla_cpu_enable_fast_math": True}


def weighted_points(n, d, seed=0, sets=SETS):
    rng = np.random.default_rng(seed)
    kernels = rng.normal(size=(*sets, n, d)) * rng.lognormal(size=(*sets, n, 1))
    factor, center = rng.lognormal(size=(*sets, n)), rng.normal(size=(*sets, d))
    weight = rng.random((*sets, n)) < 0.8
    return WeightedPoints(*(jnp.asarray(x, jnp.float32) for x in (kernels, factor, center, weight)))


def summed(terms, *point_sets):
    """`sums` of terms and point sets that exist already."""

    def make_terms(kernels, *rows):
        arrays = iter(rows)
        parts = [next(arrays) for _ in terms]
        return parts, [
            WeightedPoints(next(arrays), next(arrays), points.center, next(arrays))
            for points in point_sets
        ]

    rows = [x for points in point_sets for x in (points.kernels, points.factor, points.weight)]
    return sums(make_terms, point_sets[0].kernels, *terms, *rows)


def expected_gram(points):
    kernels, factor, center, weight = (np.asarray(x, np.float64) for x in points)
    points = kernels * factor[..., None] - center[..., None, :]
    columns = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1) * weight[..., None]
    return columns.swapaxes(-1, -2) @ columns


def assert_near(got, expected, rtol=2e-6):
    np.testing.assert_allclose(got, expected, rtol=0, atol=rtol * max(np.abs(expected).max(), 1))


@pytest.mark.parametrize("options", [{}, FAST], ids=["in order", "any order"])
@pytest.mark.parametrize("d", [1, 2, 9, 16, 17, 25])
def test_against_float64(d, options):
    point_sets = [weighted_points(500, d, seed) for seed in range(2)]
    term = point_sets[0].factor
    plain, triangles = jax.jit(summed, compiler_options=options)([term, 2 * term], *point_sets)
    expected = np.asarray(term, np.float64).sum(axis=-1)
    assert_near(plain, np.stack([expected, 2 * expected], axis=-1))
    got = symmetric(np.asarray(triangles))
    assert got.shape == (*SETS, 2, d + 1, d + 1)
    assert_near(got, np.stack([expected_gram(points) for points in point_sets], axis=-3))


def test_no_terms_are_no_sums():
    plain, triangle = summed([], weighted_points(10, 4))
    assert plain.shape == (*SETS, 0)
    assert triangle.shape == (*SETS, 1, 15)


def test_on_an_accelerator_they_are_products_of_matrices(monkeypatch):
    points = weighted_points(300, 9)
    expected = summed([points.weight], points)
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, default, **others: default(*args)
    )
    for a, b in zip(summed([points.weight], points), expected, strict=True):
        assert_near(a, np.asarray(b))


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_products_of_matrices_are_exact_and_elsewhere_than_on_cpu(platform):
    traced = jax.jit(summed).trace([], weighted_points(8, 9))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("dot_general" in text) == (platform != "cpu")
    assert "HIGHEST" in text or platform == "cpu"
    assert not re.search(r"\bf64\b|xf64", text)


# Few sizes: each compiles a program, which takes longer than all that the test computes.
PARTS = st.sampled_from([0, 1, 31])


@given(st.integers(0, 60), PARTS, PARTS.filter(bool))
def test_parts_add_up_to_the_moments_of_the_whole(seed, at, after):
    whole = weighted_points(at + after, 4, seed=seed, sets=())
    parts = [
        WeightedPoints(whole.kernels[part], whole.factor[part], whole.center, whole.weight[part])
        for part in (slice(0, at), slice(at, None))
    ]
    gram = sum(np.asarray(summed([], part)[1], np.float64)[0] for part in parts)
    got = moments_from_gram(np.asarray(whole.center, np.float64), symmetric(gram))
    kernels = whole.kernels * whole.factor[:, None]
    expected = moments(kernels, where=whole.weight == 1)
    assert got.count == expected.count
    assert_near(got.mean, np.asarray(expected.mean), rtol=1e-5)
    assert_near(got.scatter, np.asarray(expected.scatter), rtol=1e-4)
