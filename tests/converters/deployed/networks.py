"""The weights of the tiny networks: the same numbers for whoever writes them and whoever reads them.

They are multiples of 1/64 below 2, so that float16 holds them exactly.
"""

import zlib

import numpy as np

TWO = {
    "conv": (8, 3, 3, 3),
    "depthwise": (8, 1, 3, 5),
    "grouped": (4, 4, 3, 3),
    "up": (4, 6, 2, 3),
    "upgrouped": (6, 2, 3, 3),
}
"""The shapes of a 2-D network in torch's order: 8 groups, then 2, transposed ones in 1 group and in 2."""

ONE = {"conv": (8, 3, 3), "grouped": (4, 4, 5), "up": (4, 6, 3), "upgrouped": (6, 2, 3)}

THREE = {
    "conv": (4, 3, 3, 2, 1),
    "grouped": (4, 2, 2, 2, 2),
    "up": (4, 2, 2, 2, 2),
    "upgrouped": (2, 2, 2, 2, 2),
}

NETWORKS = {"one": ONE, "two": TWO, "three": THREE}

GROUPS = {"depthwise": 8, "grouped": 2, "upgrouped": 2}


def weight(network: str, layer: str) -> np.ndarray:
    """The weight of a layer, in torch's order."""
    rng = np.random.default_rng(zlib.crc32(f"{network}.{layer}".encode()))
    shape = NETWORKS[network][layer]
    return (rng.integers(-127, 128, shape) / 64).astype(np.float32)


def kernels(network: str, layer: str) -> np.ndarray:
    """The weight of a layer as (out, in, *spatial)."""
    stored = weight(network, layer)
    if not layer.startswith("up"):
        return stored
    groups = GROUPS.get(layer, 1)
    apart = stored.reshape(groups, -1, *stored.shape[1:])
    return apart.swapaxes(1, 2).reshape(-1, apart.shape[1], *stored.shape[2:])
