"""The programs that XLA runs over blocks: statistics of one slot, for all slots at once.

Each takes the slots of a block first, so that `_devices` can run it on several of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..statistics import (
    EPSILONS,
    Basis,
    by_tap,
    centered_columns,
    coefficient_histograms,
    coefficient_range,
    counts_below,
    gram,
    normalized_columns,
    relative_peaks,
    sparse_mask,
)
from ._blocks import Slots
from ._options import Options


class QualitySums(NamedTuple):
    """What the quality metrics need of each slot beside moments; `sum_abs` in units of the layer.

    `n_below` counts the kernels that stay below each of `EPSILONS`.
    """

    n_zero: Int[Array, " slots"]
    n_sparse: Int[Array, " slots"]
    n_below: Int[Array, "slots epsilons"]
    sum_abs: Float[Array, " slots"]


class SlotSums(NamedTuple):
    """What the first pass finds in each slot: the squares behind moments, and for quality.

    `grams` are those of `centered_columns` about the slot's centers, of `kinds_of` their number. Raw and
    clean ones are of kernels in units of the layer's largest absolute weight.
    """

    grams: Float[Array, "slots kinds d+1 d+1"]
    quality: QualitySums | None


KINDS = ("normalized", "raw", "clean")
"""The moments of a card."""


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
    grams = []
    if shapes:
        kernels, chosen = _population(slots, options)
        columns = jax.vmap(normalized_columns)(kernels, chosen, slots.centers[:, 0])
        grams.append(jax.vmap(gram)(columns, columns))
    if not options.quality:
        return SlotSums(jnp.stack(grams, axis=1), None)
    kernels = slots.kernels * (1 / slots.scales)[:, None, None]
    columns = jax.vmap(centered_columns)(kernels, slots.valid, slots.centers[:, 1])
    raw = jax.vmap(gram)(columns, columns)
    quality = _quality_sums(slots, options)
    # Most blocks of most networks hold no sparse kernel at all, and a product is dear.
    clean = jax.lax.cond(
        jnp.any(quality.n_sparse),
        lambda: jax.vmap(gram)(columns, jnp.where(_sparse(slots, options)[..., None], 0, columns)),
        lambda: raw,
    )
    return SlotSums(jnp.stack([*grams, raw, clean], axis=1), quality)


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


def _quality_sums(slots: Slots, options: Options) -> QualitySums:
    limits = sorted({_POSITIVE, *EPSILONS, _limit(options)})
    peaks = jax.vmap(relative_peaks)(slots.kernels, slots.scales)
    below = jax.vmap(lambda values, valid: counts_below(values, valid, limits))(peaks, slots.valid)
    n_below = dict(zip(limits, below.T, strict=True))
    absolute = jax.vmap(lambda rows: by_tap(jnp.add, jnp.abs(rows)))(slots.kernels)
    counted = jnp.where(slots.valid, absolute / slots.scales[:, None], 0)
    # A product with a vector is a faster sum on CPU.
    ones = jnp.ones_like(counted[0])
    return QualitySums(
        n_zero=n_below[_POSITIVE],
        n_sparse=n_below[_limit(options)],
        n_below=jnp.stack([n_below[eps] for eps in EPSILONS], axis=1),
        sum_abs=jnp.matmul(counted, ones, precision=jax.lax.Precision.HIGHEST),
    )


_POSITIVE = float(np.finfo(np.float32).tiny)


def _limit(options: Options) -> float:
    """What the largest weight of a sparse kernel is less than, as a share of its layer's."""
    eps = options.sparse_eps
    return eps if options.sparse_strict else float(np.nextafter(np.float32(eps), np.float32(1)))
