"""One histogram pass over kernels in memory, beside one NumPy sum over the same bytes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jfilters.statistics import Basis, coefficient_histogram, fit_basis, fixed_edges, moments

from ._timing import Row, side_by_side

BLOCK = 131_072
BINS = 70
EDGES = fixed_edges(9, BINS)


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """Normalize, project and count, against a read of every byte."""
    shape = (2 if quick else 76, BLOCK, 9)
    kernels = np.random.default_rng(0).standard_normal(shape, np.float32)
    basis = fit_basis(moments(jnp.asarray(kernels[0])))
    blocks = jnp.asarray(kernels)
    assert int(histograms(blocks, basis).sum()) == kernels.size
    return [
        side_by_side(
            f"one histogram pass over {len(kernels) * BLOCK:,} float32 kernels in memory",
            lambda: histograms(blocks, basis).block_until_ready(),
            lambda: kernels.sum(),
            peer="one NumPy sum of the same bytes",
            runs=1 if quick else 9,
            least_ratio=1 / 8,
            note="coefficient_histogram compiled over blocks; the sum runs on one core",
        )
    ]


@jax.jit
def histograms(blocks: jax.Array, basis: Basis) -> jax.Array:
    """Counts (9, 70) of all blocks (m, n, 9)."""

    def one(total: jax.Array, kernels: jax.Array) -> tuple[jax.Array, None]:
        counts, _ = coefficient_histogram(
            kernels, basis, low=float(EDGES[0]), high=float(EDGES[-1]), bins=BINS
        )
        return total + counts, None

    total, _ = jax.lax.scan(one, jnp.zeros((9, BINS), jnp.int32), blocks)
    return total
