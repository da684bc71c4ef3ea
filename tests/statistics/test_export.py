"""The quality of layers as an artefact of `jax.export`: stored, loaded, and called with equal numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import statistics as s
from jfilters.kernels import Kernels
from jfilters.layers import Layer

PLATFORMS = ("cpu", "cuda", "tpu")


def numbers(weights):
    """The arrays of the record, by name: the names of layers are no part of a stored program."""
    kernels = Kernels(weights, tuple(Layer(f"conv{i}", depth=i) for i in range(len(weights))))
    record = s.quality(kernels)
    return {name: x for name, x in vars(record).items() if isinstance(x, jax.Array)}


def weights():
    rng = np.random.default_rng(0)
    shapes = ((16, 8, 3, 3), (32, 16, 3, 3), (8, 8, 5, 5))
    return tuple(jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes)


@pytest.fixture(scope="module")
def stored():
    types = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in weights())
    return jax.export.export(jax.jit(numbers), platforms=PLATFORMS)(types).serialize()


def test_a_stored_program_gives_equal_numbers(stored):
    program = jax.export.deserialize(stored)
    expected = jax.jit(numbers)(weights())
    results = program.call(weights())
    assert set(results) == set(expected) >= {"sparsity", "variance_entropy", "orthogonality"}
    for name, values in results.items():
        np.testing.assert_array_equal(values, expected[name])


def test_it_is_lowered_for_every_platform(stored):
    program = jax.export.deserialize(stored)
    assert program.platforms == PLATFORMS
