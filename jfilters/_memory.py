"""Arrays that start at a cache line, which XLA on CPU then reads in place instead of copying them."""

import math

import numpy as np
from numpy.typing import DTypeLike

LINE = 64
"""Bytes at whose multiples XLA wants its buffers."""


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array like `numpy.empty`, at an address that is a multiple of `LINE`."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)
