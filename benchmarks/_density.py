"""Twenty densities at once, beside the same fits one after another and beside flowjax's own loop.

Every side fits the same flow to the same training kernels and is judged on the same held-out ones. One
model is fitted to the end by us and by flowjax: a run in which ours is less likely by more than `WITHIN`
stops. All models at once are timed over a few epochs, of which every one takes as long.
"""

import time
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jfilters.density import FitOptions, fit, fit_many
from jfilters.density._density import new_density
from jfilters.density.internal import to_charts

from ._timing import Row, seconds

MODELS, KERNELS, EPOCHS = 20, 20_000, 3
WITHIN = 0.02
"""Nats by which our held-out likelihood may be below the peer's."""


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """Many at once against one by one, against flowjax, and one alone."""
    models, kernels, epochs = (3, 1000, 2) if quick else (MODELS, KERNELS, EPOCHS)
    whole, few = (
        FitOptions(epochs=epochs if quick else FitOptions().epochs),
        FitOptions(epochs=epochs),
    )
    points, key = population(models, kernels), jax.random.key(0)
    first, alone = _timed(lambda: fit(key, points[0], options=whole))  # with what is compiled
    ours = float(jnp.mean(alone.log_prob))
    peer = _flowjax(points[0], alone.held_out, whole.epochs)
    if not quick and ours < peer.likelihood - WITHIN:
        raise ValueError(
            f"expected flowjax's {peer.likelihood:.3f} nats of a kernel, got {ours:.3f}"
        )
    for sets in (points, points[:1]):
        fit_many(key, sets, options=few)
    many = seconds(lambda: fit_many(key, points, options=few))
    single = seconds(lambda: [fit(key, one, options=few) for one in points])
    theirs = peer.seconds / peer.epochs * epochs * models
    work = f"{models} densities of {kernels:,} kernels at once, {epochs} epochs"
    likelihoods = f"held out {ours:.3f} nats against {peer.likelihood:.3f}"
    note = f"an epoch of one model times {epochs * models}; to the end {likelihoods}"
    return [
        Row(work, many, 1, "one after another", single, single / many, 3),
        Row(work, many, 1, "flowjax fit_to_data", theirs, theirs / many, 5, note=note),
        Row(
            f"one density of {kernels:,} kernels to the end, with its compilation",
            first,
            1,
            most_seconds=60,
        ),
    ]


def population(models: int, kernels: int) -> Float[Array, "m n d"]:
    """Kernels of a mixture of smooth shapes, another one for every model, on the cube's surface."""
    rng = np.random.default_rng(0)
    made = [
        rng.standard_normal((kernels, 4)) @ rng.standard_normal((4, 9))
        + 0.3 * rng.standard_t(4, (kernels, 9))
        for _ in range(models)
    ]
    stacked = np.stack(made)
    return jnp.asarray(stacked / np.abs(stacked).max(axis=2, keepdims=True), jnp.float32)


def _timed(function):
    start = time.perf_counter()
    found = jax.block_until_ready(function())
    return time.perf_counter() - start, found


class _Peer(NamedTuple):
    seconds: float
    epochs: int
    likelihood: float


def _flowjax(kernels: Float[Array, "n d"], held_out: np.ndarray, epochs: int) -> _Peer:
    """The mean held-out log-density after flowjax's own loop, with its defaults for the rest."""
    from flowjax.train import fit_to_data

    face, rest = to_charts(kernels)
    condition = jax.nn.one_hot(face, 2 * kernels.shape[1])
    log_face = jnp.log(jnp.bincount(face[~held_out], length=condition.shape[1]) + 0.5)
    free = jnp.arctanh(rest[~held_out])
    density = new_density(
        jax.random.key(0),
        log_face - jax.nn.logsumexp(log_face),
        free.mean(0),
        free.std(0),
        layers=FitOptions().layers,
        width=FitOptions().width,
    )
    start = time.perf_counter()
    flow, losses = fit_to_data(
        jax.random.key(0),
        density.rest,
        (rest[~held_out], condition[~held_out]),
        learning_rate=FitOptions().learning_rate,
        max_epochs=epochs,
        show_progress=False,
    )
    took = time.perf_counter() - start
    log_prob = eqx.filter_jit(flow.log_prob)(rest[held_out], condition[held_out])
    mean = float(jnp.mean(log_prob + density.log_face[face[held_out]]))
    return _Peer(took, len(losses["train"]), mean)
