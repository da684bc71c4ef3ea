"""Hashes of single kernels: equal kernels are found wherever they stand, in layers of any shape.

They find what sketches cannot: sub-networks, and layers that lost channels. NumPy on the host.
"""

import numpy as np
from jaxtyping import Bool, Float, Float16, Int64, UInt64

from ._sketch import mixed

HASHES = 128
"""Hashes of a network that are kept: its smallest, so that two networks keep the same of what they
share."""

MOST_KERNELS = 1 << 16
"""Kernels of a network that are looked at, the first ones in depth order."""

ONE_IN = 8
"""Kernels of which one is hashed, chosen by the value of its middle tap: hashing all takes too long."""

FEWEST_TAPS = 6
"""Taps of a kernel that tells, of the size `SMALLEST`: of fewer, strangers can have equal ones."""

SMALLEST = np.float16(2.0**-14)
"""Smallest weight with all bits of float16."""

SHARED = 2
"""Equal hashes from which networks are kin; none of 7,328 pairs of strangers shares one (METHOD,
Lineage)."""


def kernel_hashes(kernels: Float[np.ndarray, "n d"]) -> Int64[np.ndarray, " m"]:
    """Return the `HASHES` smallest hashes of the kernels of a layer that tell, in ascending order.

    The values are rounded to float16, so that a network stored in it has the same hashes.
    """
    n, d = kernels.shape
    if d < FEWEST_TAPS or not n:
        return np.zeros(0, np.int64)
    with np.errstate(over="ignore"):
        middle = kernels[:, d // 2].astype(np.float16)
        chosen = kernels[_is_chosen(middle)].astype(np.float16) + np.float16(0)  # so that -0 is 0
    large = (np.abs(chosen) >= SMALLEST).sum(axis=1) >= FEWEST_TAPS
    telling = chosen[large & np.isfinite(chosen).all(axis=1)]
    sums = np.zeros(len(telling), np.uint64)
    for tap, factor in enumerate(mixed(np.arange(d, dtype=np.uint64)) | np.uint64(1)):
        sums += _bits(telling[:, tap]) * factor
    hashes = mixed(sums).view(np.int64)
    if len(hashes) > HASHES:
        hashes = np.partition(hashes, HASHES)[: HASHES + 1]
    return np.unique(hashes)[:HASHES]


def _is_chosen(values: Float16[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return True for one value in `ONE_IN`, by bits that look random; never for zero."""
    bits = values.view(np.uint16)
    scrambled = (bits * np.uint16(40503)) >> np.uint16(13)
    return (scrambled == 0) & (values != 0)


def _bits(values: Float16[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    return np.ascontiguousarray(values).view(np.uint16).astype(np.uint64)
