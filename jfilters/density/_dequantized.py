"""Dequantized kernels and the width of their cells; imports no compiler."""

from typing import NamedTuple

from jaxtyping import Float

from ..statistics.internal import RealArray

RESOLUTION = 2.0**-7
"""The width of a cell, in units of the largest tap: the step of an int8 weight at full range."""


class Dequantized(NamedTuple):
    """Normalized kernels off the grid, and the number of zero kernels, which have no direction.

    Every kernel has exactly one tap at +-1: it lies on the surface of the cube [-1, 1]^d.
    """

    kernels: Float[RealArray, "n d"]
    n_zero: int
