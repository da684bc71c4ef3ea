"""New initial weights out of a density: kernels shaped like trained ones, at the scale of He."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._density import KernelDensity

Initializer = Callable[..., Array]


def initializer(density: KernelDensity, *, axes: str = "HWIO", scale: float = 2.0) -> Initializer:
    """A function (key, shape, dtype) -> weights, to be used where jax.nn.initializers are.

    Every kernel is drawn from the density. All are scaled by one factor, so that the mean square of the
    weights is `scale` over fan-in; 2 as in He initialization, whose Gaussian kernels these replace.

    **Arguments:**

    - `density`: of kernels with as many taps as the spatial axes of the shape have.
    - `axes`: the order of the axes in the shape: "HWIO" for Flax, "OIHW" for Equinox and PyTorch, or
      any other with one I, one O, and the letters of the spatial axes.

    Raises ValueError for axes without I and O, and, when called, for a shape of other taps.
    """
    if sorted(axes) != sorted(set(axes)) or not {"I", "O"} <= set(axes) or len(axes) < 3:
        raise ValueError(
            f"expected axes with I, O and the letters of the spatial axes, got {axes!r}"
        )
    spatial = [place for place, letter in enumerate(axes) if letter not in "IO"]
    order = [axes.index("O"), axes.index("I"), *spatial]

    def init(key: Key[Array, ""], shape: Sequence[int], dtype=jnp.float32, *_: object) -> Array:
        out, in_channels, *taps = _sizes(shape, order, axes, density.d)
        kernels = jax.vmap(density.sample)(jax.random.split(key, out * in_channels))
        weights = scaled(kernels, in_channels * density.d, scale)
        stored = weights.reshape(out, in_channels, *taps)
        return jnp.transpose(stored, [order.index(place) for place in range(len(axes))]).astype(
            dtype
        )

    return init


def scaled(kernels: Float[Array, "n d"], fan_in: int, scale: float = 2.0) -> Float[Array, "n d"]:
    """Multiply kernels by one factor, so that the mean square of all weights is `scale` / `fan_in`.

    With `scale` of 2 the variance of He initialization. Directions and relative sizes of the kernels stay.
    Works under jit, vmap and grad.
    """
    return kernels * jnp.sqrt(scale / fan_in / jnp.mean(kernels**2))


def _sizes(shape: Sequence[int], order: Sequence[int], axes: str, d: int) -> list[int]:
    if len(shape) != len(axes):
        raise ValueError(f"expected a shape of {len(axes)} axes ({axes}), got {tuple(shape)}")
    sizes = [int(shape[place]) for place in order]
    taps = 1
    for size in sizes[2:]:
        taps *= size
    if taps != d:
        raise ValueError(
            f"expected kernels of {d} taps, as the density's are, got {taps} in {tuple(shape)}"
        )
    return sizes
