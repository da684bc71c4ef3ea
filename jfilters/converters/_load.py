"""A checkpoint loaded whole, as the pytree `Kernels`: its weights become JAX arrays here."""

import warnings
from typing import Any

import jax.numpy as jnp

from ..io import Location
from ..kernels import Kernels
from ._checkpoint import open_checkpoint


def load(
    path: str | Location,
    *,
    axes: str | None = None,
    like: Any = None,
    network: str | None = None,
    standardize: bool = False,
) -> Kernels:
    """Load all convolution weights of a checkpoint as float32 JAX arrays, in depth order.

    The arguments and errors are those of `open_checkpoint`. The whole network is in memory at once; where
    that is too much, open the checkpoint and read one layer at a time. A warning says so where the network
    convolves with weights that cannot be read: the layers are then not all of it.

    **Returns:** the `Kernels`, a pytree of the weights with their layers.

    >>> import tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file({"conv.weight": np.ones((16, 8, 3, 3), np.float32)}, f"{folder}/net")
    ...     kernels = load(f"{folder}/net")
    >>> kernels
    Kernels(1 layers, spatial 3x3)
    >>> kernels.rows().shape
    (128, 9)
    """
    checkpoint = open_checkpoint(
        path, axes=axes, like=like, network=network, standardize=standardize
    )
    if checkpoint.shortfall:
        warnings.warn(f"{checkpoint.path}: {checkpoint.shortfall}", stacklevel=2)
    layers = checkpoint.layers
    return Kernels(
        weights=tuple(jnp.asarray(layer.read()) for layer in layers),
        layers=tuple(layer.qualified for layer in layers),
    )
