"""Classifier two-sample tests: a second opinion beside the divergences of densities.

A small network learns to distinguish two sets of kernels, without any density. At equal sizes its
logit estimates log p_A / p_B, so that it gives a divergence of its own. Its accuracy on held-out
kernels is a test whose null is known.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.stats.norm
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ._records import TwoSampleTests
from ._training import adam, stepped

MOST = 2_000
"""Kernels of each set that are looked at: enough to see an accuracy of 0.54."""

_WIDTH, _EPOCHS, _BATCH, _RATE, _DECAY, _HELD_OUT = 64, 60, 128, 2e-3, 1e-2, 0.5
_AT_ONCE = 16  # pairs, by vmap


def two_sample_tests(key: Key[Array, ""], kernels: Float[Array, "m n d"]) -> TwoSampleTests:
    """Test every two of m sets of kernels on the cube's surface by a classifier.

    At most `MOST` kernels of each set are used, half of them to train on.

    Source: Lopez-Paz & Oquab, ICLR 2017, arXiv:1610.06545.
    """
    m, n, _ = kernels.shape
    pairs = np.array([(i, j) for j in range(m) for i in range(j)], np.int32).reshape(-1, 2)
    of_draw, of_pairs = jax.random.split(key)
    subset = kernels[:, jax.random.permutation(of_draw, n)[: min(n, MOST)]]
    correct, jeffreys = _tested(jax.random.split(of_pairs, len(pairs)), subset, jnp.asarray(pairs))
    judged = 2 * (subset.shape[1] - _trained(subset.shape[1]))
    above = (np.asarray(correct, np.float64) - 0.5) * 2 * math.sqrt(judged)
    p = np.asarray(jax.scipy.stats.norm.sf(jnp.asarray(above, jnp.float32)), np.float64)
    return TwoSampleTests(
        pairs, np.asarray(correct, np.float64), p, np.asarray(jeffreys, np.float64)
    )


def _trained(n: int) -> int:
    return n - round(n * _HELD_OUT)


@jax.jit
def _tested(
    keys: Key[Array, " P"], kernels: Float[Array, "m n d"], pairs: Int[Array, "P 2"]
) -> tuple[Float[Array, " P"], Float[Array, " P"]]:
    return jax.lax.map(
        lambda pair: _test(pair[0], kernels[pair[1][0]], kernels[pair[1][1]]),
        (keys, pairs),
        batch_size=_AT_ONCE,
    )


def _test(
    key: Key[Array, ""], first: Float[Array, "n d"], second: Float[Array, "n d"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The accuracy on held-out kernels, and J by the density ratio."""
    n = len(first)
    k = _trained(n)
    classifier = _classifier(key, jnp.concatenate([first[:k], second[:k]]))
    logit = jax.vmap(classifier)
    of_first, of_second = logit(first[k:]), logit(second[k:])
    right = (jnp.mean(of_first > 0) + jnp.mean(of_second <= 0)) / 2
    return right, jnp.mean(of_first) - jnp.mean(of_second)


def _classifier(key: Key[Array, ""], kernels: Float[Array, "n d"]) -> eqx.nn.MLP:
    """A network whose logit is positive for the first half of the kernels."""
    of_start, of_order = jax.random.split(key)
    n, d = kernels.shape
    label = jnp.where(jnp.arange(n) < n // 2, 1.0, -1.0)
    network = eqx.nn.MLP(d, "scalar", _WIDTH, 2, activation=jax.nn.silu, key=of_start)
    params, static = eqx.partition(network, eqx.is_inexact_array)
    batch = min(_BATCH, n)
    steps = n // batch
    optimizer = adam(_RATE, _EPOCHS * steps, weight_decay=_DECAY)

    def loss(params: eqx.nn.MLP, rows: Int[Array, " b"]) -> Float[Array, ""]:
        logit = jax.vmap(eqx.combine(params, static))(kernels[rows])
        return jnp.mean(jax.nn.softplus(-label[rows] * logit))

    def step(carry: tuple, rows: Int[Array, " b"]) -> tuple:
        params, state = carry
        return stepped(optimizer, jax.grad(loss)(params, rows), state, params), None

    orders = jax.vmap(lambda key: jax.random.permutation(key, n)[: steps * batch])(
        jax.random.split(of_order, _EPOCHS)
    )
    (params, _), _ = jax.lax.scan(
        step, (params, optimizer.init(params)), orders.reshape(_EPOCHS * steps, batch)
    )
    return eqx.combine(params, static)
