"""The array type and the few constants that every statistic shares; imports no compiler.

Statistics of a block are JAX code. What the host does with merged records in float64 is written to
the array API, so that one formula serves NumPy and JAX arrays.
"""

import contextlib
import sys
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
_UNITS = 4
ROUNDING = _UNITS * float(np.finfo(np.float32).eps)


def namespace(array: Any) -> Any:
    """Return the array API namespace of `array`: `jax.numpy` or `numpy`; numbers count as NumPy."""
    return array.__array_namespace__() if hasattr(array, "__array_namespace__") else np


def rounding(array: Any) -> float:
    """Return `ROUNDING`, or that of float64 for a JAX array of float64.

    NumPy holds sums of float32 weights in float64, so that its type says nothing of the weights.
    """
    return ROUNDING if namespace(array) is np else rounding_of(array.dtype)


def rounding_of(dtype: Any) -> float:
    """Return the spread beside an offset that is rounding of weights of this type, or of float32."""
    return _UNITS * float(np.finfo(np.float64 if dtype == np.float64 else np.float32).eps)


def defined(condition: Any, value: Any) -> Any:
    """Return `value` where `condition` holds, else NaN, at which `jax_debug_nans` does not stop."""
    xp = namespace(value)
    with nans_allowed(xp):
        return xp.where(condition, value, xp.nan)


def nans_allowed(xp: Any) -> contextlib.AbstractContextManager[Any]:
    """A context in which a NaN that is the definition of a statistic raises no error.

    JAX checks every operation outside of jit, and the results of a program of jit, where no library
    can take a NaN out of the check.
    """
    # Looked up, as importing JAX costs 0.4 s; an array of JAX is there only where JAX is.
    return contextlib.nullcontext() if xp is np else sys.modules["jax"].debug_nans(False)
