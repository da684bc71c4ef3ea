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

from ._arrays import RealArray, positive_or_one
from ._basis import Basis
from ._normalize import peaks

Bound = float | Float[RealArray, ""]

# Counted beside the bins: what fell below the range before them, above it and padding after them.
_EXTRA = 3


def fixed_edges(d: int, bins: int = 70) -> Float[np.ndarray, " edges"]:
    """The data-free range of METHOD, +-1.1 sqrt(d), as `bins` + 1 equally spaced edges.

    A normalized kernel is no longer than sqrt(d), so neither is a coefficient, unless the mean is
    extreme.
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
    is put in no bin that means anything: mask its row.
    """
    widths = np.diff(edges)
    if len(edges) < 2 or not np.allclose(widths, widths[0], rtol=1e-6) or not widths[0] > 0:
        raise ValueError("expected at least two increasing, equally spaced edges")
    counts, _ = _histogram(
        coefficients.T, valid, low=float(edges[0]), high=float(edges[-1]), bins=len(widths)
    )
    return counts


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
    return _histogram(_coefficients(kernels, basis), valid, low=low, high=high, bins=bins)


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
    return projected / positive_or_one(peaks(kernels))[None] - center[:, None]


def _histogram(
    coefficients: Float[Array, "d n"],
    valid: Bool[Array, " n"],
    *,
    low: Bound,
    high: Bound,
    bins: int,
) -> tuple[Int32[Array, "d bins"], Int32[Array, ""]]:
    buckets = _buckets(coefficients, valid, low, high, bins)
    counts = jax.lax.platform_dependent(
        buckets, cpu=_by_scatter(bins + _EXTRA), default=_by_comparison(bins + _EXTRA)
    )
    below, inside, above = counts[:, :1], counts[:, 1 : bins + 1], counts[:, bins + 1 : bins + 2]
    index = jnp.arange(bins)[None]
    ends = jnp.where(index == 0, below, 0) + jnp.where(index == bins - 1, above, 0)
    return inside + ends, jnp.sum(below + above)


def _buckets(
    coefficients: Float[Array, "d n"], valid: Bool[Array, " n"], low: Bound, high: Bound, bins: int
) -> Int32[Array, "d n"]:
    low, high = (jnp.asarray(bound, coefficients.dtype) for bound in (low, high))
    position = jnp.floor((coefficients - low) * (bins / (high - low)))
    # The last bin is closed: what lies on the upper bound is inside.
    position = jnp.where(coefficients == high, bins - 1, jnp.clip(position, -1, bins))
    bucket = jnp.where(valid[None], position, bins + 1).astype(jnp.int32) + 1
    # Else XLA fuses the arithmetic above into the scatter, which then runs it one element at a
    # time.
    return jax.lax.optimization_barrier(bucket)


def _by_comparison(size: int) -> Callable[[Int32[Array, "d n"]], Int32[Array, "d size"]]:
    def count(buckets: Int32[Array, "d n"]) -> Int32[Array, "d size"]:
        # n stays on the minor axis: TPU pads that one to 128 lanes.
        equal = buckets[:, None, :] == jnp.arange(size, dtype=jnp.int32)[None, :, None]
        return jnp.sum(equal, axis=2, dtype=jnp.int32)

    return count


def _by_scatter(size: int) -> Callable[[Int32[Array, "d n"]], Int32[Array, "d size"]]:
    @jax.custom_batching.custom_vmap
    def count(buckets: Int32[Array, "d n"]) -> Int32[Array, "d size"]:
        return _scatter_slots(buckets[None], size)[0]

    @count.def_vmap
    def _(axis_size: int, batched: list[bool], buckets: Int32[Array, "slots d n"]):
        return _scatter_slots(buckets, size), True

    return count


def _scatter_slots(buckets: Int32[Array, "slots d n"], size: int) -> Int32[Array, "slots d {size}"]:
    # One flat scatter a component: a batched scatter, or one over all components, is half as fast.
    slots, d, _ = buckets.shape
    start = size * jnp.arange(slots, dtype=jnp.int32)[:, None]
    empty = jnp.zeros(slots * size, jnp.int32)
    counts = [
        empty.at[(start + buckets[:, component]).ravel()].add(1, mode="promise_in_bounds")
        for component in range(d)
    ]
    return jnp.stack([count.reshape(slots, size) for count in counts], axis=1)
