"""Kernels as callers hold them: rows (n, d), one weight, or the weights of all layers of a network.

Every statistic is written for the rows of one layer. This module checks what came, widens it and
repeats the statistic over layers. Imports no compiler: `xp` is `numpy` or `jax.numpy`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._arrays import RealArray, nans_allowed
from ._meshes import automatic, devices_of

KernelsLike = Any
"""Rows (n, d), a weight (out, in, *spatial), or `Kernels`, in floating point."""

WhereLike = Any
"""A mask that broadcasts to the kernels of a layer, one a layer for `Kernels`, or None."""

EXPECTED_KERNELS = "(n, d) rows, (out, in, *spatial) weights or Kernels"

_REMEDIES: dict[type, str] = {
    dict: "jf.from_params makes Kernels of parameters",
    str: "jf.load reads a checkpoint, and jf.open_scan a scan",
}

_WIDE_BYTES = 4


def is_layered(kernels: Any) -> bool:
    """Return whether these are `Kernels`; by their attributes, since statistics import no layers."""
    return all(isinstance(getattr(kernels, name, None), tuple) for name in ("weights", "layers"))


def over_layers(
    statistic: Callable[..., Any], kernels: KernelsLike, where: WhereLike, xp: Any, **options: Any
) -> Any:
    """Return `statistic` of rows and mask of one layer, or stacked over the layers of `Kernels`.

    **Arguments:**

    - `statistic`: takes rows (n, d) in float32 or float64 and a mask (n,), with uncounted rows zero. With
      `on_mesh` it also takes (out, in, d) and (out, in), which a weight on several devices gives.
    - `xp`: the module of the arrays that `statistic` takes, `numpy` or `jax.numpy`.
    - `options`: those of `layer_rows`.
    """

    def of_layer(weight: KernelsLike, mask: WhereLike) -> Any:
        return automatic(lambda array: statistic(*layer_rows(array, mask, xp, **options)), weight)

    if not is_layered(kernels):
        return of_layer(kernels, where)
    if not kernels.weights:
        raise ValueError(f"expected {EXPECTED_KERNELS}, got Kernels of no layer")
    return stacked(by_layer(of_layer, kernels, where), xp)


def by_layer(
    function: Callable[[Any, WhereLike], Any], kernels: KernelsLike, where: WhereLike
) -> list[Any]:
    """Return `function` of every weight of `Kernels` and its mask, or None, in depth order."""
    masks = layer_masks(where, len(kernels.weights))
    return [function(*layer) for layer in zip(kernels.weights, masks, strict=True)]


def layer_masks(where: WhereLike, n_layers: int) -> Sequence[Any]:
    """Return the mask of every layer. Raises TypeError or ValueError unless there is one a layer."""
    if where is None:
        return [None] * n_layers
    masks = where.weights if is_layered(where) else where
    if not isinstance(masks, tuple | list):
        raise TypeError(
            f"where: expected None or one mask a layer of Kernels, got {described(where)}"
        )
    if len(masks) != n_layers:
        raise ValueError(f"where: expected {n_layers} masks, one a layer, got {len(masks)}")
    return masks


def layer_rows(
    kernels: KernelsLike,
    where: WhereLike,
    xp: Any,
    *,
    channels: bool = False,
    on_mesh: bool = False,
) -> tuple[Any, Any]:
    """Return one layer as rows in float32 or float64, and a mask of those that count.

    Rows that do not count are zero, whatever they held. They are masked before anything else, so
    that neither a value nor a gradient nor `jax_debug_nans` sees them.

    **Arguments:**

    - `channels`: a row holds all kernels of one output channel.
    - `on_mesh`: a weight on several devices keeps its axes out and in, so that it is not gathered.
    """
    array = checked(kernels, xp)
    rows = array.shape[:1] if array.ndim == 2 or channels else array.shape[:2]
    row_axes = array.ndim - len(rows)
    leading = rows if on_mesh and devices_of(array) > 1 else (math.prod(rows),)
    if where is None:
        mask = xp.ones(leading, bool)
    else:
        mask = layer_mask(where, rows, xp)
        array = xp.where(mask.reshape(*rows, *[1] * row_axes), array, xp.zeros((), array.dtype))
        mask = mask.reshape(leading)
    flat = array.reshape(*leading, math.prod(array.shape[len(rows) :]))
    return widened(flat, xp), mask


def checked(kernels: KernelsLike, xp: Any) -> Any:
    """Return the array behind rows or a weight. Raises TypeError or ValueError for anything else."""
    is_array = isinstance(kernels, RealArray) or hasattr(kernels, "__jax_array__")
    if not is_array:
        raise TypeError(f"expected {EXPECTED_KERNELS}, got {described(kernels)}")
    array = kernels if _module(kernels) is xp else xp.asarray(kernels)
    if array.ndim < 2:
        raise ValueError(f"expected {EXPECTED_KERNELS}, got {described(kernels)}")
    check_floating(array)
    return array


def check_floating(array: Any, name: str = "kernels") -> None:
    """Raise TypeError for integers, booleans and complex numbers, of which no statistic speaks."""
    # By name too: the kind of bfloat16 is that of raw bytes.
    dtype = array.dtype
    if getattr(dtype, "kind", "") != "f" and not dtype.name.startswith(("bfloat", "float")):
        raise TypeError(
            f"{name}: expected floating-point weights, got {dtype.name}; "
            "dequantize them or convert them with astype first"
        )


def widened(array: Any, xp: Any) -> Any:
    """Return an array of float32 at least: 16 bits hold no count above 2048 and lose small terms."""
    return array if array.dtype.itemsize >= _WIDE_BYTES else array.astype(xp.float32)


def stacked(results: Sequence[Any], xp: Any) -> Any:
    """Stack equal records or arrays along a new first axis, in the widest type among them."""
    first = results[0]
    if isinstance(first, tuple):
        return type(first)(*(stacked(leaves, xp) for leaves in zip(*results, strict=True)))
    if len({result.shape for result in results}) > 1:
        raise ValueError(
            "expected layers of one kernel size, got several; choose one of them by "
            "kernels.select(spatial=...)"
        )
    dtype = max((result.dtype for result in results), key=lambda dtype: dtype.itemsize)
    with nans_allowed(xp):
        return xp.stack([result.astype(dtype) for result in results])


def described(value: Any) -> str:
    """Return the element type and shape of an array, or the type of what is none and its remedy."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{name}; {_REMEDIES[type(value)]}" if type(value) in _REMEDIES else name


def layer_mask(where: WhereLike, shape: tuple[int, ...], xp: Any) -> Any:
    """Return a mask of booleans as wide as the kernels of a layer. Raises for another shape or type."""
    mask = xp.asarray(where)
    if mask.dtype != bool:
        raise TypeError(f"where: expected booleans, got {described(mask)}")
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"where: expected a mask that broadcasts to {tuple(shape)}, got shape {mask.shape}"
        )
    return xp.broadcast_to(mask, shape)


def _module(array: Any) -> Any:
    return array.__array_namespace__() if hasattr(array, "__array_namespace__") else None
