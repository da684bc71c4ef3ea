"""Kernel sets as rows (n, d), from what JAX code holds kernels in: rows, a weight, or `Kernels`."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..statistics.internal import described, is_layered, layer_masks, layer_rows
from ._forms import Frame


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
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`. Others
      become zero.
    - `taps`: d; any unless given.
    - `spatial`: the size that weights and layers have; for weights any of `taps` taps unless given.

    Raises TypeError for anything else than kernels in floating point, and ValueError for kernels of
    another size and a mask of another shape.
    """
    if is_layered(kernels):
        return _of_layers(kernels, where, taps, spatial)
    rows = KernelRows(*layer_rows(kernels, where, jnp))
    d = rows.kernels.shape[1]
    if spatial is not None and kernels.ndim > 2 and tuple(kernels.shape[2:]) != spatial:
        raise ValueError(f"expected kernels of size {spatial}, got {described(kernels)}")
    if not d or (taps is not None and d != taps):
        expected = "a tap or more" if taps is None else f"{taps} taps"
        raise ValueError(f"expected kernels of {expected}, got {d} taps in {described(kernels)}")
    return rows


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
    pairs = zip(kernels.weights, layer_masks(where, len(kernels.weights)), strict=True)
    return [rows_in(weight, mask, frame) for weight, mask in pairs]


def _of_layers(
    kernels: Any, where: Any, taps: int | None, spatial: tuple[int, ...] | None
) -> KernelRows:
    size = _size([tuple(weight.shape[2:]) for weight in kernels.weights], taps, spatial)
    pairs = zip(kernels.weights, layer_masks(where, len(kernels.weights)), strict=True)
    layers = [layer_rows(*pair, jnp) for pair in pairs if tuple(pair[0].shape[2:]) == size]
    common = jnp.result_type(*(rows for rows, _ in layers))
    return KernelRows(
        jnp.concatenate([rows.astype(common) for rows, _ in layers]),
        jnp.concatenate([mask for _, mask in layers]),
    )


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
