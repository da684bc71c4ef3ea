"""The array type and the few constants that every statistic shares; imports no compiler.

Statistics of a block are JAX code. What the host does with merged records in float64 is written to
the array API, so that one formula serves NumPy and JAX arrays.
"""

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from jax import Array

    RealArray = Array | np.ndarray
else:

    @runtime_checkable
    class RealArray(Protocol):
        """A NumPy or JAX array. A protocol, because naming `jax.Array` would import JAX: 0.4 s."""

        def __array_namespace__(self, *, api_version=None):
            """Return the module of functions for this array."""


# Weights arrive as float32: a spread below a few units in the last place of its own offset is
# noise.
ROUNDING = 4 * float(np.finfo(np.float32).eps)


def namespace(array: Any) -> Any:
    """Return the array API namespace of `array`: `jax.numpy` or `numpy`; numbers count as NumPy."""
    return array.__array_namespace__() if hasattr(array, "__array_namespace__") else np
