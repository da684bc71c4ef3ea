"""Memory for weights: arrays that XLA on CPU reads in place, in recycled memory.

Fresh memory is expensive: the system fills it with zeros, and it is in no cache. A scan needs memory for
one layer after another, so the memory of the last layer serves the next.
"""

import collections
import ctypes
import math
import weakref

import numpy as np
from numpy.typing import DTypeLike

LINE = 64
"""Alignment in bytes; XLA copies buffers that are not aligned to it."""

RECYCLED_FROM = 1 << 20
"""Bytes from which the memory of an array is recycled here; the allocator recycles smaller ones."""

POOL_BYTES = 64 << 20
"""Limit in bytes of the unused memory in the pool."""

_pool: dict[int, collections.deque[np.ndarray]] = collections.defaultdict(collections.deque)
"""Unused memory by its size, which is a power of 2."""


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an array like `numpy.empty`, at an address that is a multiple of `LINE`.

    XLA on CPU then reads it in place. The content is arbitrary. From `RECYCLED_FROM` bytes on its memory
    goes back to a pool with its last view, and serves later arrays. Safe to call from several threads.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = _fresh(size) if size < RECYCLED_FROM else _recycled(size)
    return memory[:size].view(dtype).reshape(shape)


def _fresh(size: int) -> np.ndarray:
    memory = np.empty(size + LINE, np.uint8)
    return memory[_start(memory) :]


def _recycled(size: int) -> np.ndarray:
    capacity = 1 << (size + LINE - 1).bit_length()
    try:
        memory = _pool[capacity].pop()
    except IndexError:
        memory = np.empty(capacity, np.uint8)
    # All views of an array share its base, which is freed with the last of them.
    base = (ctypes.c_ubyte * (capacity - LINE)).from_buffer(memory.data, _start(memory))
    weakref.finalize(base, _release, memory).atexit = False
    return np.frombuffer(memoryview(base), np.uint8)


def _release(memory: np.ndarray) -> None:
    # A copy of the items: another thread may add a size meanwhile.
    unused = sum(size * len(memories) for size, memories in list(_pool.items()))
    if unused + memory.nbytes <= POOL_BYTES:
        _pool[memory.nbytes].append(memory)


def _start(memory: np.ndarray) -> int:
    return -memory.ctypes.data % LINE
