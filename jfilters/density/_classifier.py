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
from jaxtyping import Array, Bool, Float, Int, Key

from .._traced import on_host
from ._mapped import mapped
from ._records import TwoSampleTests
from ._training import adam, stepped

MOST = 2_000
"""Kernels of each set that are looked at: enough to see an accuracy of 0.54."""

_WIDTH, _EPOCHS, _BATCH, _RATE, _DECAY = 64, 20, 128, 8e-3, 1e-2
_AT_ONCE = 16  # pairs, by vmap


@on_host("test outside of the program, which it compiles itself")
def two_sample_tests(
    key: Key[Array, ""],
    kernels: Float[Array, "m n d"],
    *,
    judged: Bool[np.ndarray, " n"] | None = None,
) -> TwoSampleTests:
    """Test every two of m sets of kernels on the cube's surface by a classifier.

    At most `MOST` kernels of each set are used, at most half of them to train on.

    **Arguments:**

    - `kernels`: as `dequantize` gives them.
    - `judged`: the kernels not to train on; a random half of them if not given.

    Source: Lopez-Paz & Oquab, ICLR 2017, arXiv:1610.06545.
    """
    m, n, _ = kernels.shape
    pairs = np.array([(i, j) for j in range(m) for i in range(j)], np.int32).reshape(-1, 2)
    of_draw, of_pairs = jax.random.split(key)
    order = np.asarray(jax.random.permutation(of_draw, n))
    is_judged = np.arange(n) >= n - n // 2 if judged is None else judged[order]
    trained, scored = order[~is_judged][: MOST // 2], order[is_judged][: MOST // 2]
    correct, jeffreys = _tested(
        jax.random.split(of_pairs, len(pairs)),
        kernels[:, trained],
        kernels[:, scored],
        jnp.asarray(pairs),
    )
    above = (np.asarray(correct, np.float64) - 0.5) * 2 * math.sqrt(2 * len(scored))
    p = np.asarray(jax.scipy.stats.norm.sf(jnp.asarray(above, jnp.float32)), np.float64)
    return TwoSampleTests(
        pairs, np.asarray(correct, np.float64), p, np.asarray(jeffreys, np.float64)
    )


@jax.jit
def _tested(
    keys: Key[Array, " P"],
    trained: Float[Array, "m n d"],
    scored: Float[Array, "m judged d"],
    pairs: Int[Array, "P 2"],
) -> tuple[Float[Array, " P"], Float[Array, " P"]]:
    return mapped(
        lambda pair: _test(pair[0], trained[pair[1]], scored[pair[1]]), (keys, pairs), _AT_ONCE
    )


def _test(
    key: Key[Array, ""], trained: Float[Array, "2 n d"], scored: Float[Array, "2 judged d"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The accuracy on held-out kernels, and J by the density ratio."""
    classifier = _classifier(key, trained.reshape(-1, trained.shape[2]))
    of_first, of_second = jax.vmap(jax.vmap(classifier))(scored)
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
