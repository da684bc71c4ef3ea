"""Counting without a scatter gives the integers of a scatter, of NumPy, and of every subset."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters.statistics._counting import GROUP, by_fields, by_scatter

WIDE = GROUP * 4_369
"""Kernels of which the widened counters hold just the count."""


def both(buckets, set_of, **static):
    """The counts of both ways, each compiled."""
    ways = (by_fields, by_scatter)
    return [jax.jit(lambda b, s, way=way: way(b, s, **static))(buckets, set_of) for way in ways]


def sample(parts, rows, size, d=2, seed=0):
    rng = np.random.default_rng(seed)
    peaked = np.minimum(rng.geometric(0.2, size=(d, parts, rows)) - 1, size - 1)
    return [jnp.asarray(x, jnp.int32) for x in peaked], jnp.zeros((parts, rows), jnp.int32)


@pytest.mark.parametrize("size", [1, 72, 247, 248])
@pytest.mark.parametrize(("parts", "rows"), [(3, 15), (1, 16), (4, 1_000)])
def test_counts_are_those_of_numpy(parts, rows, size):
    buckets, set_of = sample(parts, rows, size)
    (fields,), (scatter,) = both(buckets, set_of, size=size, sets=1)
    expected = [[np.bincount(x[part], minlength=size) for x in buckets] for part in range(parts)]
    np.testing.assert_array_equal(fields, expected)
    np.testing.assert_array_equal(scatter, expected)


@pytest.mark.parametrize("rows", [WIDE, 3 * WIDE + 1])
@pytest.mark.parametrize("bucket", [0, 3, 71])
def test_no_counter_overflows_when_all_fall_in_one_bucket(rows, bucket):
    buckets = [jnp.full((1, rows), bucket, jnp.int32)]
    ((fields,), _) = both(buckets, jnp.zeros((1, rows), jnp.int32), size=72, sets=1)
    np.testing.assert_array_equal(fields[0, 0], rows * (np.arange(72) == bucket))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
def test_a_subset_and_what_does_not_count(share):
    buckets, _ = sample(2, 2_000, 72)
    rng = np.random.default_rng(1)
    set_of = np.where(rng.random((2, 2_000)) < share, 1, 0)
    set_of = jnp.asarray(np.where(rng.random((2, 2_000)) < 0.2, 2, set_of), jnp.int32)
    fields, scatter = both(buckets, set_of, size=72, sets=2)
    for of_fields, of_scatter in zip(fields, scatter, strict=True):
        np.testing.assert_array_equal(of_fields, of_scatter)
    assert int(fields[1].sum()) == 2 * int((set_of == 1).sum())


def test_no_kernel_is_counted_where_there_is_none():
    buckets, set_of = sample(2, 0, 72)
    (fields,), _ = both(buckets, set_of, size=72, sets=1)
    np.testing.assert_array_equal(fields, np.zeros((2, 2, 72)))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_one_loop_sums_the_words_of_all_components(platform):
    buckets, set_of = sample(1, 4_096, 72, d=9)
    traced = jax.jit(lambda b, s: by_fields(b, s, size=72, sets=1)).trace(buckets, set_of)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "scatter" not in text
    # One over the kernels of a group, one over the groups, one over what is left of them.
    assert text.count("stablehlo.reduce(") == 3
