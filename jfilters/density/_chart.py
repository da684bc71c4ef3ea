"""The chart of the cube's surface, where normalized kernels live.

A normalized kernel has a tap at +-1, and so lies on one of the 2d faces of the cube [-1, 1]^d; on its face
the other d - 1 taps, each in (-1, 1), are its coordinates. Everything here knows one kernel.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def to_chart(kernel: Float[Array, " d"]) -> tuple[Int[Array, ""], Float[Array, " rest"]]:
    """The face of a kernel, and its other d - 1 taps over its largest one, in their order.

    Face 2t has its largest tap at place t and positive, face 2t + 1 negative. Of several taps that are
    largest the first counts. Scale-free: the kernel need not be normalized. A zero kernel has no
    face: its coordinates are NaN.
    """
    magnitude = jnp.abs(kernel)
    tap = jnp.argmax(magnitude)
    largest = kernel[tap]
    others = jnp.arange(kernel.size - 1)
    rest = kernel[jnp.where(others < tap, others, others + 1)] / magnitude[tap]
    return 2 * tap + (largest < 0).astype(tap.dtype), rest


def from_chart(face: Int[Array, ""], rest: Float[Array, " rest"]) -> Float[Array, " d"]:
    """The normalized kernel with these coordinates on this face."""
    taps = jnp.arange(rest.size + 1)
    tap = face // 2
    peak = (1 - 2 * (face % 2)).astype(rest.dtype)
    others = rest[jnp.where(taps > tap, taps - 1, jnp.minimum(taps, rest.size - 1))]
    return jnp.where(taps == tap, peak, others)


def faces(d: int) -> int:
    """How many faces the cube has in d dimensions: one for each sign of each tap."""
    return 2 * d


def log_area(d: int) -> Float[Array, ""]:
    """The logarithm of the surface of the cube [-1, 1]^d: 2d faces of 2^(d - 1) each."""
    return jnp.log(float(faces(d))) + (d - 1) * jnp.log(2.0)


to_charts = jax.vmap(to_chart)
"""`to_chart` of (n, d) kernels: faces (n,) and coordinates (n, d - 1)."""

from_charts = jax.vmap(from_chart)
"""`from_chart` of faces (n,) and coordinates (n, d - 1)."""
