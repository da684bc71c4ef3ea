"""The few array helpers that every statistic shares.

Statistics of a block are JAX code. What the host does with merged records in float64 is written to
the array API, so that one formula serves NumPy and JAX arrays.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

RealArray = Array | np.ndarray

# Weights arrive as float32: a spread below a few units in the last place of its own offset is
# noise.
ROUNDING = 4 * float(np.finfo(np.float32).eps)


def namespace(array: Any) -> Any:
    """The array API namespace of `array`: `jax.numpy` or `numpy`; plain numbers count as NumPy."""
    return array.__array_namespace__() if hasattr(array, "__array_namespace__") else np


def keep(kernels: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Float[Array, "n d"]:
    """`kernels` with the rows that do not count set to zero, whatever they held."""
    return jnp.where(valid[:, None], kernels, 0)


def positive_or_one(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """`x` where it is positive, else 1: a divisor that spoils neither a value nor a gradient."""
    return jnp.where(x > 0, x, 1)
