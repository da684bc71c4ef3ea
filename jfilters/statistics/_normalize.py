"""Normalization of kernels by their own largest absolute weight.

Shape statistics use normalized kernels, so that a kernel's scale, which batch normalization makes
arbitrary, does not count.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._arrays import defined
from ._inputs import KernelsLike, WhereLike, by_layer, is_layered, layer_rows, over_layers
from ._masks import positive_or_one
from ._meshes import automatic

_UNROLLED_TAPS = 32


def normalize(kernels: KernelsLike, *, where: WhereLike = None) -> Any:
    """Return each kernel divided by its largest absolute weight; a zero kernel stays zero.

    In the shape and type of the kernels; 16-bit types are divided in float32. Works under jit, vmap and
    grad. Shape statistics use normalized kernels, because batch normalization makes the scale of a
    kernel arbitrary. A NaN spoils its own kernel only. `host_normalize` is the twin on the host.

    **Arguments:**

    - `kernels`: rows (n, d), a weight (out, in, *spatial), or `Kernels`, which give `Kernels`.
    - `where`: marks the kernels that count; the others become zero. One mask a layer for `Kernels`.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> jf.normalize(jnp.array([[1.0, -2.0], [0.0, 0.0]])).tolist()
    [[0.5, -1.0], [0.0, 0.0]]
    """
    if is_layered(kernels):
        weights = by_layer(_normalized, kernels, where)
        return jax.tree.unflatten(jax.tree.structure(kernels), weights)
    return _normalized(kernels, where)


def _normalized(weight: KernelsLike, where: WhereLike) -> Float[Array, "..."]:
    def quotients(array: KernelsLike) -> Float[Array, "..."]:
        rows, _ = layer_rows(array, where, jnp, on_mesh=True)
        return normalized_rows(rows).reshape(jnp.shape(array))

    # What came may be no JAX array, whose type float64 is not that of its kernels without x64.
    dtype = jnp.asarray(weight).dtype
    return automatic(quotients, weight, like_array=True).astype(dtype)


def normalized_rows(kernels: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """Return rows divided by their largest absolute weights, as `normalize` does."""
    largest = kernel_max_abs(kernels)[..., None]
    scaled = kernels / positive_or_one(largest)
    # XLA may multiply by a reciprocal, which would leave one kernel in seven without a tap at +-1.
    return jnp.where(jnp.abs(kernels) == largest, jnp.sign(kernels), scaled)


def normalize_in_half(kernels: Float[Array, "*sets n d"]) -> Float[Array, "*sets n d"]:
    """Return kernels rounded to float16 and divided by their largest weight in float16.

    The quotients, which float16 holds, come in the type of the kernels; a zero kernel stays zero. What
    is beyond float16 counts as its largest number. `host_normalize_in_half` is the twin on the host.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331, whose data set was normalized so.
    """
    half = jnp.finfo(jnp.float16)
    bound = half.max.astype(kernels.dtype)
    # reduce_precision rounds for certain; XLA may take a conversion to float16 and back for nothing.
    # It has no subnormal numbers, which a conversion has.
    rounded = jnp.clip(kernels, -bound, bound).astype(jnp.float16).astype(kernels.dtype)
    largest = positive_or_one(kernel_max_abs(rounded))[..., None]
    quotients = rounded / largest
    halved = jax.lax.reduce_precision(quotients, half.nexp, half.nmant)
    return jnp.where(jnp.abs(quotients) < float(half.tiny), quotients, halved)


def max_abs(kernels: KernelsLike, *, where: WhereLike = None) -> Float[Array, "*layers"]:
    """Return the largest absolute weight over the kernels that count; 0 if there is none.

    Works under jit, vmap and grad. A NaN in a kernel that counts gives NaN; one in a kernel that does
    not, as in padding, changes nothing. In the unit of the weights.

    **Arguments:**

    - `kernels`: rows (n, d), a weight (out, in, *spatial), or `Kernels`: one value a layer.
    - `where`: marks the kernels that count, as in `jnp.max`; one mask a layer for `Kernels`.
    """
    return over_layers(_largest, kernels, where, jnp, on_mesh=True)


def _largest(rows: Float[Array, "*n d"], _: Bool[Array, "*n"]) -> Float[Array, ""]:
    # Apart, since XLA on CPU loses a NaN in a maximum of many values.
    is_number = ~jnp.isnan(rows)
    largest = jnp.max(jnp.abs(jnp.where(is_number, rows, 0)), initial=0)
    return defined(jnp.all(is_number), largest)


def kernel_max_abs(kernels: Float[Array, "*sets n d"]) -> Float[Array, "*sets n"]:
    """Return the largest absolute weight of each kernel, in the unit of the weights.

    Works under jit, vmap and grad; leading axes stack. NaN where a weight of the kernel is NaN.
    `host_max_abs` is the twin on the host, and `max_abs` the largest weight of a whole layer.
    """
    return absolute_by_tap(jnp.maximum, kernels)


def inverse_max_abs(kernels: Float[Array, "*sets n d"]) -> Float[Array, "*sets n"]:
    """Return the factor that normalizes each kernel, to one rounding; a zero kernel stays zero.

    Faster than a division a tap, and XLA keeps a quotient where it computes a maximum anew for
    each tap that uses it.
    """
    return 1 / jnp.maximum(kernel_max_abs(kernels), jnp.finfo(kernels.dtype).tiny)


def absolute_by_tap(
    combine: Callable[[Array, Array], Array], kernels: Float[Array, "*sets n d"]
) -> Float[Array, "*sets n"]:
    """Combine the absolute taps of each kernel one after another.

    On CPU, XLA vectorizes over kernels but not a reduction over 9 minor entries, and it would write all
    absolute taps to memory before several of them are used.
    """
    d = kernels.shape[-1]
    half = d // 2
    if half >= _UNROLLED_TAPS:  # a program of thousands of taps would take minutes to compile
        absolute = jnp.abs(kernels)
        folded = combine(absolute[..., :half], absolute[..., half : 2 * half])
        odd_tap = absolute[..., 2 * half :]
        return absolute_by_tap(combine, jnp.concatenate([folded, odd_tap], axis=-1))
    return functools.reduce(combine, (jnp.abs(kernels[..., tap]) for tap in range(d)))
