"""Orthogonality of the output channels of one layer."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._masks import positive_or_one


def orthogonality(
    weight: Float[Array, "out *rest"], *, valid_rows: Bool[Array, " out"] | None = None
) -> Float[Array, ""]:
    """Return 1 - mean |cos| over pairs of distinct output channels of a weight (out, in, *spatial).

    1 when all channels are orthogonal, 0 when all are parallel. A zero channel is orthogonal to all;
    NaN for fewer than two channels. Columns of zeros change nothing. Works under jit, vmap and grad;
    `host_orthogonality` is the twin on the host.

    **Arguments:**

    - `weight`: one layer; every output channel is one row of all its weights.
    - `valid_rows`: marks the output channels that count; all if not given.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax.numpy as jnp
    >>> import jfilters as jf
    >>> float(jf.orthogonality(jnp.eye(4).reshape(4, 1, 2, 2)))
    1.0
    """
    out, row_length = weight.shape[0], math.prod(weight.shape[1:])
    valid = jnp.ones(out, bool) if valid_rows is None else valid_rows
    rows = _unit_rows(jnp.where(valid[:, None], weight.reshape(out, row_length), 0))
    cosines = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    distinct = jnp.abs(jnp.where(jnp.eye(out, dtype=bool), 0, cosines))
    count = jnp.sum(valid, dtype=rows.dtype)
    pairs = count * (count - 1)
    return jnp.where(count >= 2, 1 - jnp.sum(distinct) / positive_or_one(pairs), jnp.nan)


def _unit_rows(rows: Float[Array, "out D"]) -> Float[Array, "out D"]:
    # By the largest weight first, so that no square overflows or vanishes; the result does not
    # depend on it.
    scale = jax.lax.stop_gradient(positive_or_one(jnp.max(jnp.abs(rows), axis=1, initial=0)))
    scaled = rows / scale[:, None]
    return scaled / jnp.sqrt(positive_or_one(jnp.sum(scaled**2, axis=1)))[:, None]
