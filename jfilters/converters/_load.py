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
    """All convolution weights of a checkpoint as float32 JAX arrays, in depth order.

    Arguments and errors are those of `open_checkpoint`. Warns where the network convolves with weights that
    cannot be read: the layers are then not all of it.
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
