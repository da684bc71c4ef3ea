"""Twenty densities at once, beside the same fits one after another and beside flowjax's own loop.

Every side fits the same flow to the same training kernels and is judged on the same held-out ones; a run in
which the likelihoods differ by more than `WITHIN` stops.
"""

import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jfilters.density import FitOptions, fit, fit_many, to_charts
from jfilters.density._density import new_density

from ._timing import Row, seconds

MODELS, KERNELS, PEER_MODELS = 20, 20_000, 2
WITHIN = 0.02
"""Nats by which our held-out likelihood may be below the peer's."""


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """Many at once against one by one, against flowjax, and one alone."""
    models, kernels, epochs = (3, 1000, 2) if quick else (MODELS, KERNELS, FitOptions().epochs)
    options = FitOptions(epochs=epochs)
    points = population(models, kernels)
    key = jax.random.key(0)
    first = seconds(lambda: fit(key, points[0], options=options))  # with what is compiled
    fit_many(key, points, options=options)
    many, fits = _timed(lambda: fit_many(key, points, options=options))
    single = seconds(lambda: [fit(key, one, options=options) for one in points])
    peer, likelihood = _timed(lambda: _flowjax(points[:PEER_MODELS], fits.held_out, epochs))
    ours = float(jnp.mean(fits.log_prob[:PEER_MODELS]))
    if not quick and ours < likelihood - WITHIN:
        raise ValueError(f"expected the likelihood of flowjax, {likelihood:.3f}; got {ours:.3f}")
    peer *= models / PEER_MODELS
    work = f"{models} densities of {kernels:,} kernels at once"
    told = f"held out {ours:.3f} nats against {likelihood:.3f}"
    return [
        Row(work, many, 1, "one after another", single, single / many, 3),
        Row(work, many, 1, "flowjax fit_to_data", peer, peer / many, 5, note=told),
        Row(f"one density of {kernels:,} kernels, with its compilation", first, 1, most_seconds=60),
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


def _flowjax(
    points: Float[Array, "m n d"], held_out: np.ndarray, epochs: int
) -> Float[np.ndarray, ""]:
    """The mean held-out log-density after flowjax's own loop, with its defaults for the rest."""
    from flowjax.train import fit_to_data

    found = []
    for place, kernels in enumerate(points):
        face, rest = to_charts(kernels)
        condition = jax.nn.one_hot(face, 2 * kernels.shape[1])
        log_face = jnp.log(jnp.bincount(face[~held_out], length=condition.shape[1]) + 0.5)
        free = jnp.arctanh(rest[~held_out])
        density = new_density(
            jax.random.key(place),
            log_face - jax.nn.logsumexp(log_face),
            free.mean(0),
            free.std(0),
            layers=FitOptions().layers,
            width=FitOptions().width,
        )
        flow, _ = fit_to_data(
            jax.random.key(place),
            density.rest,
            (rest[~held_out], condition[~held_out]),
            learning_rate=FitOptions().learning_rate,
            max_epochs=epochs,
            show_progress=False,
        )
        log_prob = eqx.filter_jit(flow.log_prob)(rest[held_out], condition[held_out])
        found.append(float(jnp.mean(log_prob + density.log_face[face[held_out]])))
    return np.float64(np.mean(found))
