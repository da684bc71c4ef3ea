"""Histograms of coefficients: where the time of a scan goes.

Raw kernels are projected first and divided after, so that one dot also turns (n, d) into (d, n);
bins are then counted by scatter-add on CPU and by compare-and-reduce on GPU and TPU, with equal
counts.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from ._arrays import RealArray
from ._basis import Basis
from ._normalize import inverse_peaks

Bound = float | Float[RealArray, ""]
Buckets = Int32[Array, "d parts rows"]

PAIRS_FROM = 32_768
"""Kernels of one histogram from which two components are counted at once.

Their joint histogram has 5,329 bins: too many to fill and to sum for few kernels.
"""

# Counted beside the bins: what fell below the range before them, above it and padding after them.
_EXTRA = 3


def fixed_edges(d: int, bins: int = 70) -> Float[np.ndarray, " edges"]:
    """The data-free range of METHOD, +-1.1 sqrt(d), as `bins` + 1 equally spaced edges.

    A normalized kernel is no longer than sqrt(d), so neither is a coefficient, unless the mean is
    extreme. In units of a coefficient. Raises ValueError for `d` or `bins` below 1.

    Source: derived for this project.
    """
    if d < 1 or bins < 1:
        raise ValueError(f"expected d and bins of at least 1, got d = {d} and bins = {bins}")
    limit = 1.1 * float(np.sqrt(d))
    return np.linspace(-limit, limit, bins + 1)


def histogram(
    coefficients: Float[Array, "n d"],
    valid: Bool[Array, " n"],
    edges: Float[np.ndarray, " edges"],
) -> Int32[Array, "d bins"]:
    """Counts per component and bin of the valid rows; the end bins catch what falls outside.

    Inside the range the bins are those of `numpy.histogram`. `edges` must be equally spaced. A NaN
    is put in no bin that means anything: mask its row. Raises ValueError for edges that do not rise
    or are not equally spaced.
    """
    widths = np.diff(edges)
    if len(edges) < 2 or not np.allclose(widths, widths[0], rtol=1e-6) or not widths[0] > 0:
        raise ValueError("expected at least two increasing, equally spaced edges")
    low, high = float(edges[0]), float(edges[-1])
    counts, *_ = _histograms(coefficients.T, valid, low=low, high=high, bins=len(widths), parts=1)
    return counts[0]


def coefficient_histogram(
    kernels: Float[Array, "n d"],
    valid: Bool[Array, " n"],
    basis: Basis,
    *,
    low: Bound,
    high: Bound,
    bins: int,
) -> tuple[Int32[Array, "d bins"], Int32[Array, ""]]:
    """`histogram` of raw kernels, normalized and projected on the way, and how many fell outside.

    The number outside counts coefficients below `low` or above `high`; they are in the end bins
    too.
    """
    counts, outside, _ = coefficient_histograms(
        kernels, valid, basis, low=low, high=high, bins=bins, parts=1
    )
    return counts[0], outside[0]


def coefficient_histograms(
    kernels: Float[Array, "n d"],
    valid: Bool[Array, " n"],
    basis: Basis,
    *,
    low: Bound,
    high: Bound,
    bins: int,
    parts: int,
    subset: Bool[Array, " n"] | None = None,
) -> tuple[
    Int32[Array, "parts d bins"], Int32[Array, " parts"], Int32[Array, "parts d bins"] | None
]:
    """`coefficient_histogram` of `parts` equal runs of the kernels: faster than a vmap over them.

    With a `subset` of the kernels, its share of the histograms comes third.
    """
    coefficients = _coefficients(kernels, basis)
    return _histograms(
        coefficients, valid, low=low, high=high, bins=bins, parts=parts, subset=subset
    )


def coefficient_range(
    kernels: Float[Array, "n d"], valid: Bool[Array, " n"], basis: Basis
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Smallest and largest coefficient of the valid raw kernels; (inf, -inf) if there is none.

    Up to rounding: another compiled program may place a coefficient one float32 step beyond.
    """
    coefficients = _coefficients(kernels, basis)
    low = jnp.min(coefficients, where=valid[None], initial=jnp.inf)
    return low, jnp.max(coefficients, where=valid[None], initial=-jnp.inf)


def _coefficients(kernels: Float[Array, "n d"], basis: Basis) -> Float[Array, "d n"]:
    mean, components = (jnp.asarray(x, kernels.dtype) for x in (basis.mean, basis.components))
    exact = jax.lax.Precision.HIGHEST
    projected = jnp.matmul(components, kernels.T, precision=exact)
    center = jnp.matmul(components, mean, precision=exact)
    return projected * inverse_peaks(kernels)[None] - center[:, None]


def _histograms(
    coefficients: Float[Array, "d n"],
    valid: Bool[Array, " n"],
    *,
    low: Bound,
    high: Bound,
    bins: int,
    parts: int,
    subset: Bool[Array, " n"] | None = None,
) -> tuple[
    Int32[Array, "parts d bins"], Int32[Array, " parts"], Int32[Array, "parts d bins"] | None
]:
    d, n = coefficients.shape
    # Else XLA fuses the arithmetic into the scatter, which then runs it one element at a time.
    buckets = jax.lax.optimization_barrier(_buckets(coefficients, valid, low, high, bins))
    buckets = buckets.reshape(d, parts, n // parts)
    size = bins + _EXTRA
    if subset is None:
        return *_in_bins(_bucket_counts(buckets, size), bins), None
    chosen = subset.reshape(parts, n // parts)

    def apart() -> tuple[Int32[Array, "parts d size"], Int32[Array, "parts d size"]]:
        # The subset has buckets of its own, behind the others: one scatter still counts all.
        both = jax.lax.optimization_barrier(buckets + size * chosen.astype(jnp.int32)[None])
        counts = _bucket_counts(both, 2 * size)
        return counts[..., :size], counts[..., size:]

    def together() -> tuple[Int32[Array, "parts d size"], Int32[Array, "parts d size"]]:
        counts = _bucket_counts(buckets, size)
        return counts, jnp.zeros_like(counts)

    # Twice as many buckets are dear, and few blocks hold anything of a subset of sparse kernels.
    rest, found = jax.lax.cond(jnp.any(chosen), apart, together)
    return *_in_bins(rest + found, bins), _in_bins(found, bins)[0]


def _bucket_counts(buckets: Buckets, size: int) -> Int32[Array, "parts d size"]:
    return jax.lax.platform_dependent(buckets, cpu=_by_scatter(size), default=_by_comparison(size))


def _in_bins(
    counts: Int32[Array, "parts d buckets"], bins: int
) -> tuple[Int32[Array, "parts d bins"], Int32[Array, " parts"]]:
    """Counts with what fell outside in the end bins, and how much that was."""
    below, above = counts[..., :1], counts[..., bins + 1 : bins + 2]
    index = jnp.arange(bins)[None, None]
    ends = jnp.where(index == 0, below, 0) + jnp.where(index == bins - 1, above, 0)
    return counts[..., 1 : bins + 1] + ends, jnp.sum(below + above, axis=(1, 2))


def _buckets(
    coefficients: Float[Array, "d n"], valid: Bool[Array, " n"], low: Bound, high: Bound, bins: int
) -> Int32[Array, "d n"]:
    low, high = (jnp.asarray(bound, coefficients.dtype) for bound in (low, high))
    position = jnp.floor((coefficients - low) * (bins / (high - low)))
    # The last bin is closed: what lies on the upper bound is inside.
    position = jnp.where(coefficients == high, bins - 1, jnp.clip(position, -1, bins))
    return jnp.where(valid[None], position, bins + 1).astype(jnp.int32) + 1


def _by_comparison(size: int) -> Callable[[Buckets], Int32[Array, "parts d size"]]:
    def count(buckets: Buckets) -> Int32[Array, "parts d size"]:
        # Rows stay on the minor axis: TPU pads that one to 128 lanes.
        equal = buckets[:, :, None, :] == jnp.arange(size, dtype=jnp.int32)[None, None, :, None]
        return jnp.sum(equal, axis=3, dtype=jnp.int32).swapaxes(0, 1)

    return count


def _by_scatter(size: int) -> Callable[[Buckets], Int32[Array, "parts d size"]]:
    def count(buckets: Buckets) -> Int32[Array, "parts d size"]:
        # One flat scatter at a time: one over all components is half as fast.
        d, _, rows = buckets.shape
        paired = 2 * (d // 2) if rows >= PAIRS_FROM else 0
        pairs = [_pair_counts(buckets[i : i + 2], size) for i in range(0, paired, 2)]
        single = [_counts(buckets[i], size)[None] for i in range(paired, d)]
        return jnp.concatenate([*pairs, *single]).swapaxes(0, 1)

    return count


def _pair_counts(buckets: Int32[Array, "2 parts rows"], size: int) -> Int32[Array, "2 parts size"]:
    """Two components by one scatter into their joint histogram: half the memory operations."""
    joint = _counts(buckets[0] * size + buckets[1], size**2).reshape(-1, size, size)
    return jnp.stack([joint.sum(axis=2), joint.sum(axis=1)])


def _counts(buckets: Int32[Array, "parts rows"], size: int) -> Int32[Array, "parts size"]:
    parts = len(buckets)
    start = size * jnp.arange(parts, dtype=jnp.int32)[:, None]
    empty = jnp.zeros(parts * size, jnp.int32)
    counts = empty.at[(start + buckets).ravel()].add(1, mode="promise_in_bounds")
    return counts.reshape(parts, size)
