"""Histograms of kernels on the device, in the basis and bins that a comparison gives."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._traced import is_traced
from ..statistics import Basis, project
from ..statistics.internal import coefficient_histograms, is_layered, normalize_in_half
from ._forms import Frame
from ._kernel_rows import KernelRows, layers_in, rows_in
from ._soft_histogram import soft_histogram, unit_kernels


def counted(
    side: Any, where: Any, frame: Frame, count: Callable[[KernelRows, Frame], Array]
) -> Float[Array, "*layers d bins"]:
    """Return the histogram of rows or of a weight, or one of every layer of `Kernels`."""
    if is_layered(side):
        return jnp.stack([count(rows, frame) for rows in layers_in(side, where, frame)])
    return count(rows_in(side, where, frame), frame)


def hard_counts(rows: KernelRows, frame: Frame) -> Float[Array, "d bins"]:
    """Count the coefficients of kernels as a scan does; NaN if a kernel that counts is not finite."""
    _check_edges(frame)
    return _hard_counts(*rows, *_placed(frame, rows), in_half=frame.dtype == "float16")


def soft_counts(rows: KernelRows, frame: Frame, width: float) -> Float[Array, "d bins"]:
    """Return `soft_histogram` of kernels; NaN if a kernel that counts is not finite."""
    _check_edges(frame)
    in_half = frame.dtype == "float16"
    return _soft_counts(*rows, *_placed(frame, rows), in_half=in_half, width=width)


def _placed(frame: Frame, rows: KernelRows) -> tuple[Basis, Float[Array, " edges"]]:
    """Return basis and edges as arrays of the kernels' type, whatever x64 was when a program was made."""
    dtype = rows.kernels.dtype
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), (frame.basis, frame.edges))


@functools.partial(jax.jit, static_argnames="in_half")
def _hard_counts(
    kernels: Float[Array, "n d"],
    is_counted: Bool[Array, " n"],
    basis: Basis,
    edges: Float[Array, " edges"],
    *,
    in_half: bool,
) -> Float[Array, "d bins"]:
    finite = _finite(kernels, is_counted)
    values = normalize_in_half(finite) if in_half else finite
    low, high, bins = edges[0], edges[-1], len(edges) - 1
    counts, *_ = coefficient_histograms(
        values, basis, low=low, high=high, bins=bins, parts=1, where=is_counted
    )
    return _or_nan(counts[0].astype(kernels.dtype), kernels, is_counted)


@functools.partial(jax.jit, static_argnames=("in_half", "width"))
def _soft_counts(
    kernels: Float[Array, "n d"],
    is_counted: Bool[Array, " n"],
    basis: Basis,
    edges: Float[Array, " edges"],
    *,
    in_half: bool,
    width: float,
) -> Float[Array, "d bins"]:
    finite = _finite(kernels, is_counted)
    unit = unit_kernels(finite)
    if in_half:  # the value of the rounded kernel, the gradient of the exact one
        unit = unit + jax.lax.stop_gradient(normalize_in_half(finite) - unit)
    low, high = (edge.astype(kernels.dtype) for edge in (edges[0], edges[-1]))
    coefficients = project(unit, basis)
    mass = soft_histogram(coefficients, is_counted, low, high, bins=len(edges) - 1, width=width)
    return _or_nan(mass, kernels, is_counted)


def _finite(kernels: Float[Array, "n d"], is_counted: Bool[Array, " n"]) -> Float[Array, "n d"]:
    """Return the kernels with zeros for those that do not count or are not finite."""
    is_good = is_counted & jnp.isfinite(kernels).all(axis=1)
    return jnp.where(is_good[:, None], kernels, 0)


def _or_nan(
    counts: Float[Array, "d bins"], kernels: Float[Array, "n d"], is_counted: Bool[Array, " n"]
) -> Float[Array, "d bins"]:
    is_good = jnp.isfinite(kernels).all(axis=1) | ~is_counted
    return jnp.where(is_good.all(), counts, jnp.nan)


def _check_edges(frame: Frame) -> None:
    if is_traced(frame.edges):
        return  # its values are not there yet
    widths = np.diff(np.asarray(frame.edges))
    if len(widths) < 1 or not widths[0] > 0 or not np.allclose(widths, widths[0], rtol=1e-4):
        raise ValueError("expected at least two increasing, equally spaced edges")
