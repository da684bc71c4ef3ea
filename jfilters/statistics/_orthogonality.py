"""Orthogonality of the output channels of one layer."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._arrays import defined
from ._inputs import KernelsLike, WhereLike, over_layers
from ._masks import positive_or_one
from ._meshes import spread


def orthogonality(kernels: KernelsLike, *, where: WhereLike = None) -> Float[Array, "*layers"]:
    """Return 1 - mean |cos| over pairs of distinct output channels of a weight (out, in, *spatial).

    1 when all channels are orthogonal, 0 when all are parallel. A zero channel is orthogonal to all;
    NaN for fewer than two channels, and for a NaN or infinite weight that counts. Columns of zeros
    change nothing. In float32, or float64 for float64 weights. Works under jit, vmap and grad;
    `host_orthogonality` is the twin on the host.

    **Arguments:**

    - `kernels`: a weight (out, in, *spatial), one channel a row (out, n), or `Kernels`: one value a
      layer.
    - `where`: marks the output channels (out,) that count; one mask a layer for `Kernels`.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> float(jf.orthogonality(jnp.eye(4).reshape(4, 1, 2, 2)))
    1.0
    """
    return over_layers(_of_rows, kernels, where, jnp, channels=True)


def _of_rows(rows: Float[Array, "out D"], where: Bool[Array, " out"]) -> Float[Array, ""]:
    finite = jnp.all(jnp.isfinite(rows))
    # On several devices each takes some columns of all rows. Sharded by rows, all would be sent to all.
    units = _unit_rows(spread(jnp.where(finite, rows, 0), axis=1))
    cosines = jnp.matmul(units, units.T, precision=jax.lax.Precision.HIGHEST)
    distinct = jnp.abs(jnp.where(jnp.eye(len(rows), dtype=bool), 0, cosines))
    count = jnp.sum(where, dtype=rows.dtype)
    pairs = positive_or_one(count * (count - 1))
    return defined(finite & (count >= 2), 1 - jnp.sum(distinct) / pairs)


def _unit_rows(rows: Float[Array, "out D"]) -> Float[Array, "out D"]:
    # By the largest weight first, so that no square overflows or vanishes; the result does not
    # depend on it.
    scale = jax.lax.stop_gradient(positive_or_one(jnp.max(jnp.abs(rows), axis=1, initial=0)))
    scaled = rows / scale[:, None]
    return scaled / jnp.sqrt(positive_or_one(jnp.sum(scaled**2, axis=1)))[:, None]
