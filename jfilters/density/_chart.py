"""The chart of the cube's surface, where normalized kernels live.

A normalized kernel has a tap at +-1, and so lies on one of the 2d faces of the cube [-1, 1]^d; on its face
the other d - 1 taps, each in (-1, 1), are its coordinates. Everything here knows one kernel.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def to_chart(kernel: Float[Array, " d"]) -> tuple[Int[Array, ""], Float[Array, " rest"]]:
    """Return the face of a kernel, and its other d - 1 taps over its largest one, in their order.

    Face 2t has its largest tap at index t and positive, face 2t + 1 negative. Of several taps that are
    largest the first counts. Scale-free: the kernel need not be normalized. A zero kernel has no
    face: its coordinates are NaN. Works under jit, vmap and grad.
    """
    magnitude = jnp.abs(kernel)
    tap = jnp.argmax(magnitude)
    largest = kernel[tap]
    index = jnp.arange(kernel.size - 1)
    coordinates = kernel[jnp.where(index < tap, index, index + 1)] / magnitude[tap]
    return 2 * tap + (largest < 0).astype(tap.dtype), coordinates


def from_chart(face: Int[Array, ""], coordinates: Float[Array, " rest"]) -> Float[Array, " d"]:
    """Return the normalized kernel with these coordinates on this face; inverts `to_chart`.

    Face 2t puts +1 on tap t, face 2t + 1 puts -1 there; the coordinates are the other taps in their
    order. Works under jit, vmap and grad; `from_charts` takes many kernels.
    """
    taps = jnp.arange(coordinates.size + 1)
    tap = face // 2
    largest = (1 - 2 * (face % 2)).astype(coordinates.dtype)
    small_taps = coordinates[
        jnp.where(taps > tap, taps - 1, jnp.minimum(taps, coordinates.size - 1))
    ]
    return jnp.where(taps == tap, largest, small_taps)


def faces(d: int) -> int:
    """Return the number of faces of the cube in d dimensions: one for each sign of each tap."""
    return 2 * d


def log_area(d: int) -> Float[Array, ""]:
    """Return the logarithm of the surface of the cube [-1, 1]^d: 2d faces of 2^(d - 1) each."""
    return jnp.log(float(faces(d))) + (d - 1) * jnp.log(2.0)


to_charts = jax.vmap(to_chart)
"""`to_chart` of (n, d) kernels: faces (n,) and coordinates (n, d - 1)."""

from_charts = jax.vmap(from_chart)
"""`from_chart` of faces (n,) and coordinates (n, d - 1)."""
