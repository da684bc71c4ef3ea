import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import statistics
from jfilters.statistics import random_orthogonality

orthogonality = jax.jit(statistics.orthogonality)


def sample(out=16, rest=(4, 3, 3)):
    return np.random.default_rng(0).normal(size=(out, *rest)).astype(np.float32)


def reference(weight):
    rows = np.asarray(weight, np.float64).reshape(len(weight), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = ~np.eye(len(rows), dtype=bool)
    return 1 - np.abs(rows @ rows.T)[pairs].mean()


@pytest.mark.parametrize("shape", [(16, 4, 3, 3), (40, 36), (2, 7, 5), (300, 2, 3, 3)])
def test_against_float64(shape):
    weight = sample(shape[0], shape[1:])
    assert float(orthogonality(jnp.asarray(weight))) == pytest.approx(reference(weight), rel=1e-5)


def test_orthogonal_and_parallel_channels():
    assert float(orthogonality(jnp.eye(5) * 3)) == pytest.approx(1, abs=1e-6)
    parallel = jnp.outer(jnp.asarray([1.0, -2.0, 3.0]), jnp.arange(1.0, 5.0))
    assert float(orthogonality(parallel)) == pytest.approx(0, abs=1e-6)


def test_zero_channels_are_orthogonal_to_all():
    rows = jnp.asarray([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    # Of six ordered pairs the two between equal rows have |cos| = 1.
    assert float(orthogonality(rows)) == pytest.approx(1 - 2 / 6, abs=1e-6)
    assert float(orthogonality(jnp.zeros((3, 4)))) == 1


def test_padding_is_invisible():
    weight = jnp.asarray(sample().reshape(16, -1))
    padded = jnp.pad(weight, ((0, 5), (0, 0)), constant_values=jnp.nan)
    padded = jnp.pad(padded, ((0, 0), (0, 12)))
    got = orthogonality(padded, where=jnp.arange(21) < 16)
    assert float(got) == pytest.approx(float(orthogonality(weight)), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales(scale):
    got = orthogonality(jnp.asarray(sample() * np.float32(scale)))
    assert float(got) == pytest.approx(reference(sample()), rel=1e-5)


@pytest.mark.parametrize("out", [0, 1])
def test_fewer_than_two_channels_have_none(out):
    assert jnp.isnan(orthogonality(jnp.ones((out, 9))))


def test_random_baseline():
    weight = jnp.asarray(sample(200, (32, 9)))
    assert float(orthogonality(weight)) == pytest.approx(random_orthogonality(288), abs=2e-3)
