"""The start of a fit: the location, the scale and the tail of independent taps, by maximum likelihood.

A flow that starts from the likeliest simple density has only to learn what that one misses. Few kernels are
then enough for populations that are simple, where a flow learns noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float, Int

from ._density import TAILS, log_base

_STEPS = 12  # of Fisher scoring: from mean and deviation a tap of 2,000 kernels is settled by then
_MOST = 0.5  # of a scale, or of its logarithm, in one step
_MOST_CORRELATED = 0.999  # so that kernels on a plane have a density
_RIDGE = 1e-6  # of a unit information: taps that are all the same have a finite step


class Start(NamedTuple):
    """A simple density of the taps on a face, in the order of `new_density`."""

    loc: Float[Array, " rest"]
    scale: Float[Array, " rest"]
    tail: Float[Array, ""]
    unmix: Float[Array, "rest rest"]


def start(taps: Float[Array, "n rest"]) -> Start:
    """Return the likeliest location and scale of each tap in the space of atanh, and one tail of all.

    The tail is the likeliest of `TAILS`; correlations are shrunk by as much as is noise in them. A tap that
    never changes has a scale near 0. Works under jit and vmap.
    """
    free = jnp.arctanh(taps)
    tails = jnp.array(TAILS, free.dtype)
    loc, log_scale, likelihood = jax.vmap(lambda tail: _of_tail(free, tail))(tails)
    best = jnp.argmax(likelihood)
    scale = jnp.exp(log_scale[best])
    return Start(loc[best], scale, tails[best], _unmixing((free - loc[best][None]) / scale[None]))


def _unmixing(free: Float[Array, "n rest"]) -> Float[Array, "rest rest"]:
    """Return the lower triangle that makes standardized taps uncorrelated.

    Source: Schäfer & Strimmer, Statistical Applications in Genetics and Molecular Biology 4(1), 2005.
    """
    n, taps = free.shape
    x = (free - jnp.mean(free, axis=0, keepdims=True)) / (
        jnp.std(free, axis=0, keepdims=True) + _RIDGE
    )
    correlation = x.T @ x / n
    noise = ((x**2).T @ x**2 / n - correlation**2) / n
    off = 1 - jnp.eye(taps, dtype=x.dtype)
    share = jnp.sum(noise * off) / jnp.maximum(jnp.sum(correlation**2 * off), _RIDGE)
    shrunk = correlation * off * jnp.clip(1 - share, 0, _MOST_CORRELATED)
    factor = jnp.linalg.cholesky(shrunk + jnp.eye(taps, dtype=x.dtype))
    return jax.scipy.linalg.solve_triangular(factor, jnp.eye(taps, dtype=x.dtype), lower=True)


def _of_tail(
    free: Float[Array, "n rest"], tail: Float[Array, ""]
) -> tuple[Float[Array, " rest"], Float[Array, " rest"], Float[Array, ""]]:
    log_density = jax.vmap(jax.vmap(lambda x: log_base(x, tail)))
    score = jax.vmap(jax.vmap(jax.grad(lambda x: -log_base(x, tail))))

    def step(_: Int[Array, ""], at: tuple[Array, Array]) -> tuple[Array, Array]:
        loc, log_scale = at
        scale = jnp.exp(log_scale)
        x = (free - loc[None]) / scale[None]
        of_loc = score(x)
        of_scale = x * of_loc - 1
        return loc + scale * _scored(of_loc), log_scale + _scored(of_scale)

    spread = jnp.maximum(jnp.std(free, axis=0), 1e-3)
    loc, log_scale = jax.lax.fori_loop(0, _STEPS, step, (jnp.mean(free, axis=0), jnp.log(spread)))
    log_scale = jnp.maximum(log_scale, jnp.log(1e-3))
    x = (free - loc[None]) / jnp.exp(log_scale)[None]
    values = log_density(x) - log_scale[None]
    return loc, log_scale, jnp.mean(jnp.sum(values, axis=1))


def _scored(gradient: Float[Array, "n rest"]) -> Float[Array, " rest"]:
    """Return a step by the information that the gradients of single kernels hold."""
    information = jnp.mean(gradient**2, axis=0) + _RIDGE
    return jnp.clip(jnp.mean(gradient, axis=0) / information, -_MOST, _MOST)
