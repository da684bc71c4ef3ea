"""Memory for weights: arrays that XLA on CPU reads in place, in memory that was used before.

Fresh memory is dear: the system fills it with zeros and the caches do not know it. A scan takes as much for
every layer, and needs what it had for the last one no longer.
"""

import collections
import ctypes
import math
import weakref

import numpy as np
from numpy.typing import DTypeLike

LINE = 64
"""Bytes at whose multiples XLA wants its buffers, or it copies them."""

RECYCLED_FROM = 1 << 20
"""Bytes of an array from which its memory is used again; the allocator does it for smaller ones."""

SPARE_BYTES = 64 << 20
"""Bytes of memory that wait to be used again at most."""

_spare: dict[int, collections.deque[np.ndarray]] = collections.defaultdict(collections.deque)
"""By its size, which is a power of 2."""


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array like `numpy.empty`, at an address that is a multiple of `LINE`."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = _fresh(size) if size < RECYCLED_FROM else _recycled(size)
    return memory[:size].view(dtype).reshape(shape)


def _fresh(size: int) -> np.ndarray:
    memory = np.empty(size + LINE, np.uint8)
    return memory[_start(memory) :]


def _recycled(size: int) -> np.ndarray:
    capacity = 1 << (size + LINE - 1).bit_length()
    try:
        memory = _spare[capacity].pop()
    except IndexError:
        memory = np.empty(capacity, np.uint8)
    # All views of an array share its base: when the last one is gone, so is this object.
    base = (ctypes.c_ubyte * (capacity - LINE)).from_buffer(memory.data, _start(memory))
    weakref.finalize(base, _give_back, memory).atexit = False
    return np.frombuffer(memoryview(base), np.uint8)


def _give_back(memory: np.ndarray) -> None:
    # A list of it: another thread may ask for memory of a new size meanwhile.
    waiting = sum(size * len(spare) for size, spare in list(_spare.items()))
    if waiting + memory.nbytes <= SPARE_BYTES:
        _spare[memory.nbytes].append(memory)


def _start(memory: np.ndarray) -> int:
    return -memory.ctypes.data % LINE
