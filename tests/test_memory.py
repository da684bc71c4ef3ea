"""Memory of arrays is used again when the last view of it is gone, and never before."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import _memory
from jfilters._memory import LINE, RECYCLED_FROM, aligned_empty

SIZE = 3 * RECYCLED_FROM


@pytest.fixture(autouse=True)
def empty_pool(monkeypatch):
    monkeypatch.setattr(_memory, "_pool", type(_memory._pool)(_memory._pool.default_factory))


def address(array):
    return array.ctypes.data


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (RECYCLED_FROM,), (SIZE // 36, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_are_aligned_and_can_be_written(shape, dtype):
    array = aligned_empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert address(array) % LINE == 0
    array[...] = 1
    assert array.sum(dtype=int) == array.size


def test_memory_is_used_again():
    array = aligned_empty((SIZE,), np.uint8)
    first = address(array)
    del array
    assert address(aligned_empty((SIZE // 4 - 5,), np.float32)) == first


@pytest.mark.parametrize(
    "kept",
    [
        lambda array: array[10:20],
        lambda array: array.view(np.float32).reshape(-1, 4)[3],
        lambda array: array.data.toreadonly(),
        lambda array: np.frombuffer(array.data, np.int16),
        lambda array: jnp.asarray(array),
    ],
    ids=["slice", "view", "memoryview", "frombuffer", "jax"],
)
def test_memory_that_someone_looks_at_is_not(kept):
    array = aligned_empty((SIZE,), np.uint8)
    array[...] = 7
    first, view = address(array), kept(array)
    before = np.array(view)
    del array
    gc.collect()
    other = aligned_empty((SIZE,), np.uint8)
    other[...] = 0
    np.testing.assert_array_equal(np.array(view), before)
    assert address(other) != first or isinstance(view, jax.Array)  # JAX may have copied it


def test_little_memory_is_kept(monkeypatch):
    monkeypatch.setattr(_memory, "POOL_BYTES", 2 * RECYCLED_FROM)
    arrays = [aligned_empty((RECYCLED_FROM - LINE,), np.uint8) for _ in range(4)]
    assert all(map(len, arrays))
    # Small enough for the allocator, which takes care of it by itself.
    assert not any(_memory._pool.values())
    arrays = [aligned_empty((RECYCLED_FROM,), np.uint8) for _ in range(4)]
    del arrays
    kept = sum(memory.nbytes for memories in _memory._pool.values() for memory in memories)
    assert kept == 2 * RECYCLED_FROM
