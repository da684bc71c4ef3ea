"""The programs that XLA runs over blocks: statistics of one segment, for all segments at once.

Each takes the segments of a block first, so that `_devices` can run it on several devices.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..statistics import Basis, sparse_mask
from ..statistics.internal import (
    EPSILONS,
    Terms,
    WeightedPoints,
    absolute_by_tap,
    coefficient_histograms,
    coefficient_range,
    inverse_max_abs,
    normalize_in_half,
    relative_max_abs,
    sums,
)
from ._blocks import Segments
from ._options import Options

WIDE_VECTORS = {"xla_cpu_prefer_vector_width": 512}
"""Full AVX-512: XLA uses half of it by default, and a pass takes a fifth longer."""

ANY_ORDER = WIDE_VECTORS | {"xla_cpu_enable_fast_math": True}
"""For sums of finite numbers: XLA otherwise adds them one by one and vectorizes none of them."""


class SegmentSums(NamedTuple):
    """Result of the first pass for each segment; sums add up over the segments of a layer.

    `grams` are the lower triangles of the grams of kernels about the segment's centers, for each of
    `kinds_of` their number. The "raw" and "clean" ones are of kernels in units of the layer's largest
    absolute weight. `quality` has a column for each of `QUALITY`, or none.
    """

    grams: Float[Array, "segments kinds triangle"]
    quality: Float[Array, "segments columns"]


KINDS = ("normalized", "raw", "clean")
"""The kinds of moments in the statistics of a layer."""

QUALITY = ("n_zero", "n_sparse", "sum_abs", *EPSILONS)
"""Sums that the quality metrics need beside moments.

`sum_abs` is in units of the layer's largest absolute weight. For each epsilon there is the number of
kernels that stay below it. All are float32, which holds numbers of kernels exactly: a segment has far
fewer than 2^24.
"""


def kinds_of(count: int) -> tuple[str, ...]:
    """Return `count` of `KINDS`: the normalized kind alone, the two for quality, or all three."""
    return {1: KINDS[:1], 2: KINDS[1:], 3: KINDS}[count]


class SegmentCounts(NamedTuple):
    """Result of the second pass for each segment: histograms, and coefficients outside their range.

    `sparse_histogram` is the part of `histogram` from sparse kernels; None without quality.
    """

    histogram: Int[Array, "segments d bins"]
    n_outside: Int[Array, " segments"]
    sparse_histogram: Int[Array, "segments d bins"] | None


def moments_pass(
    segments: Segments, *, options: Options, with_normalized: bool, platform: str | None = None
) -> SegmentSums:
    """Sum the grams of every segment, and with quality zero and sparse kernels and absolute weights.

    Static: `options`, `with_normalized` and the `platform` of the program, if it is known. Without
    `with_normalized` no moments of normalized kernels are taken. `segments.scales` holds the largest
    absolute weight of each segment's layer, 1 where that is zero.
    """
    make_terms = functools.partial(_terms, segments, options, with_normalized)
    quality, grams = sums(make_terms, segments.kernels, segments.valid, platform=platform)
    return SegmentSums(grams, quality)


def histogram_pass(
    segments: Segments,
    basis: Basis,
    low: Float[Array, ""],
    high: Float[Array, ""],
    *,
    options: Options,
    platform: str | None = None,
) -> SegmentCounts:
    """Count every segment's coefficients in histograms, and those outside low..high.

    Static: `options`, and the `platform` of the program, if it is known.
    """
    n_segments, rows, d = segments.kernels.shape
    kernels, valid = _population(segments, options)
    counts = coefficient_histograms(
        kernels.reshape(n_segments * rows, d),
        basis,
        low=low,
        high=high,
        bins=options.bins,
        parts=n_segments,
        where=valid.reshape(n_segments * rows),
        subset=_sparse(segments, options).reshape(n_segments * rows) if options.quality else None,
        platform=platform,
    )
    return SegmentCounts(*counts)


def range_pass(
    segments: Segments, basis: Basis, *, options: Options
) -> tuple[Float[Array, " segments"], Float[Array, " segments"]]:
    """Smallest and largest coefficient of every segment."""

    def bounds(kernels, valid):
        return coefficient_range(kernels, basis, where=valid)

    return jax.vmap(bounds)(*_population(segments, options))


@jax.jit
def gram_pass(
    gram: Float[Array, "tile tile"], a: Float[Array, "tile span"], b: Float[Array, "tile span"]
) -> Float[Array, "tile tile"]:
    """Add the inner products of the rows of two tiles to `gram`."""
    return gram + jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _sparse(segments: Segments, options: Options) -> Bool[Array, "segments rows"]:
    def mask(kernels, scale):
        return sparse_mask(kernels, scale, eps=options.sparse_eps, strict=options.sparse_strict)

    return segments.valid & jax.vmap(mask)(segments.kernels, segments.scales)


def _population(
    segments: Segments, options: Options
) -> tuple[Float[Array, "segments rows d"], Bool[Array, "segments rows"]]:
    """The kernels that are normalized, in the chosen precision, and a mask of them."""
    kernels, valid = segments.kernels, segments.valid
    if options.dtype == "float16":
        kernels = normalize_in_half(kernels)
    if options.population == "clean":
        valid = valid & ~_sparse(segments, options)
    return kernels, valid


def _points(
    kernels: Float[Array, "segments rows d"],
    factor: Float[Array, "segments rows"],
    center: Float[Array, "segments d"],
    valid: Bool[Array, "segments rows"],
) -> WeightedPoints:
    return WeightedPoints(kernels, factor, center, valid.astype(kernels.dtype))


def _terms(
    segments: Segments,
    options: Options,
    with_normalized: bool,
    kernels: Float[Array, "segments rows d"],
    valid: Bool[Array, "segments rows"],
) -> Terms:
    """The terms of the first pass, for part of the kernels of each segment."""
    part = segments._replace(kernels=kernels, valid=valid)
    point_sets, terms = [], []
    if with_normalized:
        rounded, counted = _population(part, options)
        point_sets.append(_points(rounded, inverse_max_abs(rounded), part.centers[:, 0], counted))
    if options.quality:
        factor = jnp.broadcast_to(1 / part.scales[:, None], valid.shape)
        masks = (valid, valid & ~_sparse(part, options))
        point_sets += [_points(kernels, factor, part.centers[:, 1], mask) for mask in masks]
        terms = _quality_terms(part, options)
    return terms, point_sets


def _quality_terms(segments: Segments, options: Options) -> list[Float[Array, "segments rows"]]:
    """The terms whose sums are the columns of `QUALITY`."""
    scales = segments.scales[:, None]
    relative = jax.vmap(relative_max_abs)(segments.kernels, segments.scales)
    absolute = absolute_by_tap(jnp.add, segments.kernels) / scales
    below = (relative < limit for limit in EPSILONS)
    terms = (relative < _POSITIVE, _sparse(segments, options), absolute, *below)
    return [jnp.where(segments.valid, term.astype(absolute.dtype), 0) for term in terms]


_POSITIVE = float(np.finfo(np.float32).tiny)
