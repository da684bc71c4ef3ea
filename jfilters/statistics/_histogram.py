"""Histograms of coefficients: where the time of a scan goes.

Raw kernels are projected first and divided after; bins are then counted by scatter-add on CPU and in
short counters that share a word on GPU and TPU, with equal counts.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from .._traced import check_static
from ._arrays import RealArray
from ._basis import Basis
from ._counting import by_fields, by_scatter
from ._inputs import KernelsLike, WhereLike, layer_rows, over_layers
from ._normalize import inverse_max_abs, kernel_max_abs
from ._sums import MOST_TAPS

Bound = float | Float[RealArray, ""]
# Counted beside the bins: what fell below the range before them, and above it after them.
_OUTSIDE = 2


def histogram(
    coefficients: Float[RealArray, "n d"],
    edges: Float[RealArray, " edges"],
    *,
    where: WhereLike = None,
) -> Int32[Array, "d bins"]:
    """Count the rows that count per component and bin; the end bins catch what falls outside.

    Inside the range the bins are those of `numpy.histogram`. A row that holds a NaN or infinity is in
    no bin. Works under jit and vmap; `edges` is static.

    **Arguments:**

    - `coefficients`: one kernel a row, one column a component, as `project` gives them.
    - `edges`: rising and equally spaced.
    - `where`: marks the rows that count, as in `jnp.mean`.

    Raises ValueError for edges that do not rise or are not equally spaced.
    """
    check_static(edges=edges)
    edges = np.asarray(edges, np.float64)
    widths = np.diff(edges)
    if len(edges) < 2 or not np.allclose(widths, widths[0], rtol=1e-6) or not widths[0] > 0:
        raise ValueError("expected at least two increasing, equally spaced edges")
    low, high = float(edges[0]), float(edges[-1])
    rows, counted = layer_rows(coefficients, where, jnp)
    counted = counted & ~jnp.isnan(rows).any(axis=1)
    counts, *_ = _histograms(list(rows.T), counted, low=low, high=high, bins=len(widths), parts=1)
    return counts[0]


def coefficient_histogram(
    kernels: KernelsLike,
    basis: Basis,
    *,
    low: Bound,
    high: Bound,
    bins: Any,
    where: WhereLike = None,
) -> tuple[Int32[Array, "*layers d bins"], Int32[Array, "*layers"]]:
    """Return the `histogram` of raw kernels, normalized and projected, and the number outside.

    Works under jit and vmap; `bins` is static. The number outside counts coefficients below `low` or
    above `high`; they are in the end bins too. A kernel with a NaN or infinite weight is in no bin.

    **Arguments:**

    - `kernels`: raw, as rows (n, d), a weight (out, in, *spatial), or `Kernels` of one kernel size:
      one histogram a layer.
    - `basis`: of as many taps as the kernels have.
    - `low`, `high`: the range of the bins, in units of a coefficient.
    - `bins`: the number of equal bins.
    - `where`: marks the kernels that count, as in `jnp.mean`; one mask a layer for `Kernels`.
    """
    check_static(bins=bins)

    def of_rows(rows: Float[Array, "*n d"], counted: Bool[Array, "*n"]) -> tuple[Array, Array]:
        counted = counted & jnp.isfinite(kernel_max_abs(rows))
        counts, outside, _ = coefficient_histograms(
            rows, basis, low=low, high=high, bins=bins, parts=1, where=counted
        )
        return counts[0], outside[0]

    return over_layers(of_rows, kernels, where, jnp, on_mesh=True)


def coefficient_histograms(
    kernels: Float[Array, "*n d"],
    basis: Basis,
    *,
    low: Bound,
    high: Bound,
    bins: int,
    parts: int,
    where: Bool[Array, "*n"],
    subset: Bool[Array, "*n"] | None = None,
    platform: str | None = None,
) -> tuple[
    Int32[Array, "parts d bins"], Int32[Array, " parts"], Int32[Array, "parts d bins"] | None
]:
    """Return the `coefficient_histogram` of `parts` equal runs of the kernels, faster than by vmap.

    The kernels of part i are rows i n / parts to (i + 1) n / parts; kernels on more axes are one part.
    With a `subset` of the kernels, its share of the histograms comes third, else None. Works under jit;
    `bins` and `parts` are static.

    **Arguments:**

    - `where`: marks the kernels that count, which are finite.
    - `subset`: marks kernels, such as sparse ones, whose histograms are wanted by themselves too.
    - `platform`: static; the platform of the program. None traces the paths of all platforms, which takes
        0.1 s longer.
    """
    return _histograms(
        _coefficients(kernels, basis),
        where,
        low=low,
        high=high,
        bins=bins,
        parts=parts,
        subset=subset,
        platform=platform,
    )


def coefficient_range(
    kernels: Float[Array, "n d"], basis: Basis, *, where: Bool[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the smallest and largest coefficient of the kernels that count; (inf, -inf) if none does.

    Works under jit and vmap. Exact up to rounding: another compiled program may place a coefficient one
    float32 step beyond. Kernels are raw; they are normalized and projected on `basis` on the way.
    """
    coefficients = _by_product(kernels, basis)
    low = jnp.min(coefficients, where=where[None], initial=jnp.inf)
    return low, jnp.max(coefficients, where=where[None], initial=-jnp.inf)


def _coefficients(kernels: Float[Array, "*n d"], basis: Basis) -> list[Float[Array, "*n"]]:
    """Return the coefficients of all kernels, component by component."""
    if kernels.shape[-1] > MOST_TAPS:
        return list(_by_product(kernels, basis))
    # Tap by tap the projection becomes part of the loop that finds the buckets.
    components, center = _components(kernels, basis)
    taps = [kernels[..., tap] for tap in range(kernels.shape[-1])]
    scale = inverse_max_abs(kernels)
    return [
        sum(map(jnp.multiply, component, taps)) * scale - c
        for component, c in zip(components, center, strict=True)
    ]


def _by_product(kernels: Float[Array, "*n d"], basis: Basis) -> Float[Array, "d *n"]:
    components, center = _components(kernels, basis)
    taps = jnp.moveaxis(kernels, -1, 0)
    projected = jnp.tensordot(components, taps, 1, precision=jax.lax.Precision.HIGHEST)
    return projected * inverse_max_abs(kernels)[None] - center.reshape(-1, *[1] * (taps.ndim - 1))


def _components(
    kernels: Float[Array, "n d"], basis: Basis
) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
    """Return the components, and the coefficients of the mean."""
    mean, components = (jnp.asarray(x, kernels.dtype) for x in (basis.mean, basis.components))
    return components, jnp.matmul(components, mean, precision=jax.lax.Precision.HIGHEST)


def _histograms(
    coefficients: Sequence[Float[Array, "*n"]],
    valid: Bool[Array, "*n"],
    *,
    low: Bound,
    high: Bound,
    bins: int,
    parts: int,
    subset: Bool[Array, "*n"] | None = None,
    platform: str | None = None,
) -> tuple[
    Int32[Array, "parts d bins"], Int32[Array, " parts"], Int32[Array, "parts d bins"] | None
]:
    shape = (parts, len(valid) // parts, *valid.shape[1:])
    buckets = [_buckets(c, low, high, bins).reshape(shape) for c in coefficients]
    sets = 1 if subset is None else 2
    # int32 also where the default is int64.
    chosen = jnp.asarray(0 if subset is None else subset, jnp.int32)
    # Kernels that do not count are a set of their own, which nobody looks at.
    set_of = jnp.where(valid, chosen, sets).reshape(shape)
    scatter, fields = (
        functools.partial(count, size=bins + _OUTSIDE, sets=sets)
        for count in (by_scatter, by_fields)
    )
    if platform is None:
        counts = jax.lax.platform_dependent(buckets, set_of, cpu=scatter, default=fields)
    else:
        counts = (scatter if platform == "cpu" else fields)(buckets, set_of)
    without_subset, *subsets = counts
    if not subsets:
        return *_in_bins(without_subset, bins), None
    return *_in_bins(without_subset + subsets[0], bins), _in_bins(subsets[0], bins)[0]


def _in_bins(
    counts: Int32[Array, "parts d buckets"], bins: int
) -> tuple[Int32[Array, "parts d bins"], Int32[Array, " parts"]]:
    """Add the counts outside the range to the end bins; also return their number."""
    below, above = counts[..., :1], counts[..., -1:]
    index = jnp.arange(bins)[None, None]
    ends = jnp.where(index == 0, below, 0) + jnp.where(index == bins - 1, above, 0)
    return counts[..., 1 : bins + 1] + ends, jnp.sum(below + above, axis=(1, 2), dtype=jnp.int32)


def _buckets(
    coefficients: Float[Array, "*n"], low: Bound, high: Bound, bins: int
) -> Int32[Array, "*n"]:
    low, high = (jnp.asarray(bound, coefficients.dtype) for bound in (low, high))
    position = jnp.floor((coefficients - low) * (bins / (high - low)))
    # The last bin is closed: what lies on the upper bound is inside.
    position = jnp.where(coefficients == high, bins - 1, jnp.clip(position, -1, bins))
    return position.astype(jnp.int32) + 1
