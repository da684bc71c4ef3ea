"""Kernel sets as rows (n, d), from what JAX code holds kernels in: rows, a weight, or `Kernels`.

This room sees arrays only, so that `Kernels` are recognized by their fields.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ._forms import Frame, described, is_array

EXPECTED = "(n, d) rows, (out, in, *spatial) weights or Kernels"


class KernelRows(NamedTuple):
    """Kernels, one a row, in float32 at least, and a mask of those that count."""

    kernels: Float[Array, "n d"]
    is_counted: Bool[Array, " n"]


def kernel_rows(
    kernels: Any,
    *,
    where: Any = None,
    taps: int | None = None,
    spatial: tuple[int, ...] | None = None,
) -> KernelRows:
    """Return the kernels of rows, of a weight, or of the layers of `Kernels` that have the right size.

    Float16 and bfloat16 become float32. Works under jit and vmap: shapes alone decide.

    **Arguments:**

    - `kernels`: (n, d) rows, an (out, in, *spatial) weight, or `Kernels`.
    - `where`: a mask of the kernels that count: (n,) for rows, (out, in) or (n,) for a weight, and for
      `Kernels` one such mask for each of its layers, or (n,) for its rows.
    - `taps`: d; any unless given.
    - `spatial`: the size that weights and layers have; for weights any of `taps` taps unless given.

    Raises TypeError for kernels that are not of floating point. Raises ValueError for anything else than
    kernels, kernels of another size, and a mask of another shape.
    """
    if is_kernels(kernels):
        return _of_layers(kernels, where, taps, spatial)
    if not is_array(kernels) or kernels.ndim < 2:
        raise ValueError(f"expected {EXPECTED}, got {described(kernels)}")
    rows = _rows(kernels)
    d = rows.shape[1]
    if spatial is not None and kernels.ndim > 2 and tuple(kernels.shape[2:]) != spatial:
        raise ValueError(f"expected kernels of size {spatial}, got {described(kernels)}")
    if taps is not None and d != taps:
        raise ValueError(f"expected kernels of {taps} taps, got {d} taps in {described(kernels)}")
    return KernelRows(rows, _mask(where, kernels.shape, len(rows)))


def rows_in(kernels: Any, where: Any, frame: Frame) -> KernelRows:
    """Return the `kernel_rows` of kernels that fit a frame, which has a basis."""
    taps = len(frame.variance_ratio)
    rows = kernel_rows(kernels, where=where, taps=taps, spatial=frame.spatial)
    if not len(rows.kernels):
        raise ValueError(f"expected kernels, got none in {described(kernels)}")
    return rows


def layers_in(kernels: Any, where: Any, frame: Frame) -> list[KernelRows]:
    """Return the `rows_in` of every layer of `Kernels`, all of which fit the frame.

    Raises ValueError for a layer of another size, which has no value, and for no layers.
    """
    sizes = sorted({tuple(weight.shape[2:]) for weight in kernels.weights})
    if len(sizes) != 1 or math.prod(sizes[0]) != len(frame.variance_ratio):
        raise ValueError(
            f"expected layers of kernels of {len(frame.variance_ratio)} taps, one value a layer, got "
            f"kernels of sizes {sizes}; choose a size with kernels.select(spatial=...)"
        )
    masks = [None] * len(kernels.weights) if where is None else where
    if is_array(masks) or len(masks) != len(kernels.weights):
        raise ValueError(f"expected a mask for each of {len(kernels.weights)} layers as where")
    pairs = zip(kernels.weights, masks, strict=True)
    return [rows_in(weight, mask, frame) for weight, mask in pairs]


def is_kernels(value: Any) -> bool:
    """Return True for `Kernels`: records of layers beside their weights."""
    return hasattr(value, "layers") and isinstance(getattr(value, "weights", None), tuple)


def _of_layers(
    kernels: Any, where: Any, taps: int | None, spatial: tuple[int, ...] | None
) -> KernelRows:
    shapes = [tuple(weight.shape) for weight in kernels.weights]
    size = _size([shape[2:] for shape in shapes], taps, spatial)
    places = [place for place, shape in enumerate(shapes) if shape[2:] == size]
    rows = [_rows(kernels.weights[place]) for place in places]
    common = jnp.result_type(*rows)
    all_rows = jnp.concatenate([layer.astype(common) for layer in rows])
    if where is None or is_array(where):
        return KernelRows(all_rows, _mask(where, (), len(all_rows)))
    if len(where) != len(shapes):
        raise ValueError(f"expected a mask for each of {len(shapes)} layers, got {len(where)}")
    masks = [
        _mask(where[place], shapes[place], len(layer))
        for place, layer in zip(places, rows, strict=True)
    ]
    return KernelRows(all_rows, jnp.concatenate(masks))


def _size(
    sizes: list[tuple[int, ...]], taps: int | None, spatial: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Return the one kernel size to look at."""
    fitting = set(sizes)
    if spatial is not None:
        fitting &= {spatial}
    elif taps is not None:
        fitting = {size for size in fitting if math.prod(size) == taps}
    if len(fitting) == 1:
        return fitting.pop()
    expected = f"of size {spatial}" if spatial else f"of {taps} taps" if taps else "of one size"
    remedy = "; choose one with spatial=" if len(fitting) > 1 else ""
    raise ValueError(
        f"expected layers of kernels {expected}, got kernels of sizes {sorted(set(sizes))}{remedy}"
    )


def _rows(kernels: Any) -> Float[Array, "n d"]:
    if not jnp.issubdtype(kernels.dtype, jnp.floating):
        raise TypeError(
            f"expected kernels of floating point, got {described(kernels)}; dequantize or convert them"
        )
    taps = kernels.shape[1] if kernels.ndim == 2 else math.prod(kernels.shape[2:])
    count = math.prod(kernels.shape[:1] if kernels.ndim == 2 else kernels.shape[:2])
    if not taps:
        raise ValueError(f"expected kernels of a tap or more, got {described(kernels)}")
    wide = jnp.asarray(kernels).reshape(count, taps)
    return wide if jnp.finfo(wide.dtype).bits > 32 else wide.astype(jnp.float32)


def _mask(where: Any, shape: tuple[int, ...], n: int) -> Bool[Array, " n"]:
    if where is None:
        return jnp.ones(n, bool)
    if not is_array(where) or where.dtype != np.bool_:
        raise TypeError(f"expected a mask of booleans as where, got {described(where)}")
    if where.shape not in ((n,), shape[:2]):
        raise ValueError(f"expected a mask of {n} kernels as where, got {described(where)}")
    return jnp.asarray(where).reshape(n)
