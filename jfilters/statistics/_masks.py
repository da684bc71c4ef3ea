"""Rows that do not count and divisors that may be zero, without a trace in values or gradients."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def keep(kernels: Float[Array, "*n d"], valid: Bool[Array, "*n"]) -> Float[Array, "*n d"]:
    """Return `kernels` with the rows that do not count set to zero, whatever they held."""
    return jnp.where(valid[..., None], kernels, 0)


def positive_or_one(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Return `x` where it is positive, else 1: a divisor that spoils no value and no gradient."""
    return jnp.where(x > 0, x, 1)


def largest_abs(kernels: Float[Array, "..."]) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """Return the largest absolute value of the finite ones, 0 of none, and whether all are finite.

    The maximum alone does not say it: of many values XLA on CPU loses a NaN.
    """
    finite = jnp.isfinite(kernels)
    return jnp.max(jnp.abs(jnp.where(finite, kernels, 0)), initial=0), jnp.all(finite)
