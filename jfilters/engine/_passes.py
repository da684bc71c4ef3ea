"""The programs that XLA runs over blocks: statistics of one slot, for all slots at once.

Each takes the slots of a block first, so that `_devices` can run it on several of them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..statistics import (
    EPSILONS,
    Basis,
    Terms,
    WeightedPoints,
    absolute_by_tap,
    coefficient_histograms,
    coefficient_range,
    inverse_peaks,
    relative_peaks,
    sparse_mask,
    sums,
)
from ._blocks import Slots
from ._options import Options

WIDE_VECTORS = {"xla_cpu_prefer_vector_width": 512}
"""XLA takes half of AVX-512 unless told; with all of it a pass is faster by a fifth."""

ANY_ORDER = WIDE_VECTORS | {"xla_cpu_enable_fast_math": True}
"""For sums of finite numbers: else XLA adds one after the other, and vectorizes none of them."""


class SlotSums(NamedTuple):
    """What the first pass finds in each slot; sums add up over the slots of a layer.

    `squares` are the lower triangles of the grams of kernels about the slot's centers, of each of
    `kinds_of` their number. Raw and clean ones are of kernels in units of the layer's largest absolute
    weight. `quality` has a column for each of `QUALITY`, or none.
    """

    squares: Float[Array, "slots kinds triangle"]
    quality: Float[Array, "slots columns"]


KINDS = ("normalized", "raw", "clean")
"""The moments of a card."""

QUALITY = ("n_zero", "n_sparse", "sum_abs", *EPSILONS)
"""What the quality metrics need beside moments.

The sum of absolute weights is in units of the layer's largest; for each epsilon there is the number of
kernels that stay below it. All are float32, which holds the numbers of kernels exactly: a slot has far
fewer than 2^24.
"""


def kinds_of(count: int) -> tuple[str, ...]:
    """So many of `KINDS`: normalized ones alone without quality, the others where only quality is asked."""
    return {1: KINDS[:1], 2: KINDS[1:], 3: KINDS}[count]


class SlotCounts(NamedTuple):
    """What the second pass finds in each slot: histograms, and the coefficients outside their range.

    `sparse_histogram` is the part of `histogram` that sparse kernels make; None without quality.
    """

    histogram: Int[Array, "slots d bins"]
    n_outside: Int[Array, " slots"]
    sparse_histogram: Int[Array, "slots d bins"] | None


def moments_pass(slots: Slots, *, options: Options, shapes: bool) -> SlotSums:
    """Squares of kernels, and with quality zero and sparse kernels and norms, of every slot.

    `scales` holds the largest absolute weight of each slot's layer, 1 where that is zero. Without
    `shapes` the normalized kernels are left out.
    """
    make_terms = functools.partial(_terms, slots, options, shapes)
    quality, squares = sums(make_terms, slots.kernels, slots.valid)
    return SlotSums(squares, quality)


def histogram_pass(
    slots: Slots, basis: Basis, low: Float[Array, ""], high: Float[Array, ""], *, options: Options
) -> SlotCounts:
    """Histograms of every slot's coefficients, and how many of them lay outside low..high."""
    n_slots, rows, d = slots.kernels.shape
    kernels, counted = _population(slots, options)
    found = coefficient_histograms(
        kernels.reshape(n_slots * rows, d),
        counted.reshape(n_slots * rows),
        basis,
        low=low,
        high=high,
        bins=options.bins,
        parts=n_slots,
        subset=_sparse(slots, options).reshape(n_slots * rows) if options.quality else None,
    )
    return SlotCounts(*found)


def extremes_pass(
    slots: Slots, basis: Basis, *, options: Options
) -> tuple[Float[Array, " slots"], Float[Array, " slots"]]:
    """Smallest and largest coefficient of every slot."""
    chosen = _population(slots, options)
    return jax.vmap(lambda kernels, valid: coefficient_range(kernels, valid, basis))(*chosen)


@jax.jit
def gram_pass(
    gram: Float[Array, "tile tile"], a: Float[Array, "tile span"], b: Float[Array, "tile span"]
) -> Float[Array, "tile tile"]:
    """`gram` plus the inner products of the rows of two tiles."""
    return gram + jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _sparse(slots: Slots, options: Options) -> Bool[Array, "slots rows"]:
    def one(kernels, scale):
        return sparse_mask(kernels, scale, eps=options.sparse_eps, strict=options.sparse_strict)

    return slots.valid & jax.vmap(one)(slots.kernels, slots.scales)


def _population(
    slots: Slots, options: Options
) -> tuple[Float[Array, "slots rows d"], Bool[Array, "slots rows"]]:
    """The kernels whose shapes are looked at, in the precision that they are looked at in."""
    kernels, valid = slots.kernels, slots.valid
    if options.dtype == "float16":
        largest = jnp.finfo(jnp.float16).max.astype(kernels.dtype)
        kernels = jnp.clip(kernels, -largest, largest).astype(jnp.float16).astype(kernels.dtype)
    if options.population == "clean":
        valid = valid & ~_sparse(slots, options)
    return kernels, valid


def _points(
    kernels: Float[Array, "slots rows d"],
    factor: Float[Array, "slots rows"],
    center: Float[Array, "slots d"],
    valid: Bool[Array, "slots rows"],
) -> WeightedPoints:
    return WeightedPoints(kernels, factor, center, valid.astype(kernels.dtype))


def _terms(
    slots: Slots,
    options: Options,
    shapes: bool,
    kernels: Float[Array, "slots rows d"],
    valid: Bool[Array, "slots rows"],
) -> Terms:
    """What the first pass adds up, of some kernels of each slot."""
    some = slots._replace(kernels=kernels, valid=valid)
    point_sets, terms = [], []
    if shapes:
        chosen, counted = _population(some, options)
        point_sets.append(_points(chosen, inverse_peaks(chosen), some.centers[:, 0], counted))
    if options.quality:
        factor = jnp.broadcast_to(1 / some.scales[:, None], valid.shape)
        clean = valid & ~_sparse(some, options)
        point_sets += [
            _points(kernels, factor, some.centers[:, 1], each) for each in (valid, clean)
        ]
        terms = _quality_terms(some, options)
    return terms, point_sets


def _quality_terms(slots: Slots, options: Options) -> list[Float[Array, "slots rows"]]:
    """What is summed up for each of `QUALITY`."""
    scales = slots.scales[:, None]
    relative = jax.vmap(relative_peaks)(slots.kernels, slots.scales)
    absolute = absolute_by_tap(jnp.add, slots.kernels) / scales
    below = (relative < limit for limit in EPSILONS)
    terms = (relative < _POSITIVE, _sparse(slots, options), absolute, *below)
    return [jnp.where(slots.valid, term.astype(absolute.dtype), 0) for term in terms]


_POSITIVE = float(np.finfo(np.float32).tiny)
