"""Fitting densities by maximum likelihood: one program an epoch, many densities at once by vmap."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from .._traced import on_host
from ._chart import faces, to_charts
from ._density import KernelDensity, like, new_density
from ._fits import FEWEST, Fits
from ._mapped import mapped
from ._options import DEFAULTS, FitOptions
from ._start import start as start_of
from ._training import adam, stepped

AT_ONCE = 1024  # kernels of each density: what lies between its layers stays small


@on_host(
    "fit outside of the program; a KernelDensity is a pytree, whose log_prob and sample run inside"
)
def fit(
    key: Key[Array, ""], kernels: Float[Array, "n d"], *, options: FitOptions = DEFAULTS
) -> Fits:
    """Fit a density of kernels on the cube's surface, as `dequantize` gives them.

    The result of `fit_many` for this one set. Deterministic in `key`, which is of the split, the start
    and the order of the batches. Takes seconds: compilation, then one program an epoch.
    """
    return fit_many(key, kernels[None], options=options)


@on_host(
    "fit outside of the program; a KernelDensity is a pytree, whose log_prob and sample run inside"
)
def fit_many(
    key: Key[Array, ""],
    kernels: Float[Array, "m n d"],
    *,
    options: FitOptions = DEFAULTS,
    held_out: Bool[np.ndarray, " n"] | None = None,
) -> Fits:
    """Fit a density to each of m sets of kernels on the cube's surface, all at once by vmap.

    Deterministic in `key`. The density of a set does not depend on the others beside it. One epoch
    is one compiled program.

    **Arguments:**

    - `kernels`: as `dequantize` gives them; as many in every set, drawn from it where it has more.
    - `held_out`: the kernels that are only scored; a random `options.held_out` of them if not given. Of the
      others a random `options.stopping` chooses the epoch, and the rest is trained on.

    Raises ValueError for fewer than `FEWEST` kernels or 2 taps.
    """
    _, n, d = kernels.shape
    if n < FEWEST or d < 2:
        raise ValueError(f"expected {FEWEST} kernels or more of 2 taps or more, got {n} of {d}")
    of_split, of_stopping, of_fit = jax.random.split(key, 3)
    if held_out is None:
        held_out = split(of_split, n, options.held_out)
    stopping = np.zeros(n, bool)
    stopping[~held_out] = split(of_stopping, int((~held_out).sum()), options.stopping)
    trained = kernels[:, ~held_out & ~stopping]
    densities, epochs = train(of_fit, trained, kernels[:, stopping], options)
    scores = log_probs(densities, kernels[:, held_out])
    return Fits(densities, held_out, scores, epochs, stopping)


def train(
    key: Key[Array, ""],
    trained: Float[Array, "m n d"],
    stopping: Float[Array, "m judged d"],
    options: FitOptions,
) -> tuple[KernelDensity, Int[Array, " m"]]:
    """Train a density on each of m sets, each stopped by kernels of its own, and count the epochs."""
    m, _, d = trained.shape
    of_start, of_order = jax.random.split(key)
    static = _static(d, options)
    state = _started(jax.random.split(of_start, m), trained, stopping, options)
    orders = jax.random.split(of_order, (options.epochs, m))
    for epoch in range(options.epochs):
        state = _epoch(orders[epoch], state, trained, stopping, options)
        if bool(jnp.all(state.fruitless >= options.patience)):
            break
    densities = eqx.filter_vmap(lambda params: eqx.combine(params, static))(state.best)
    return densities, state.best_epoch


@eqx.filter_jit
def log_probs(densities: KernelDensity, kernels: Float[Array, "m n d"]) -> Float[Array, "m n"]:
    """Return the log-density, in nats, of each set of kernels under the density beside it."""

    def of_one(density: KernelDensity, rows: Float[Array, "n d"]) -> Float[Array, " n"]:
        return mapped(density.log_prob, rows, AT_ONCE)

    return eqx.filter_vmap(of_one)(densities, kernels)


_FEWEST_STEPS, _SMALLEST_BATCH = 8, 32  # steps of an epoch, and kernels of a step


class _State(NamedTuple):
    params: PyTree  # the trained arrays of densities
    optimizer: Any
    best: PyTree
    likelihood: Float[Array, " m"]
    fruitless: Int[Array, " m"]
    epoch: Int[Array, " m"]
    best_epoch: Int[Array, " m"]


def split(key: Key[Array, ""], n: int, share: float) -> Bool[np.ndarray, " n"]:
    """Mark a random share of n kernels, one at least."""
    order = np.asarray(jax.random.permutation(key, n))
    return order < max(round(n * share), 1)


def _static(d: int, options: FitOptions) -> KernelDensity:
    return eqx.partition(like(d, options.layers, options.width), eqx.is_inexact_array)[1]


def _batch(n: int, options: FitOptions) -> int:
    # Few kernels make few steps an epoch: smaller batches then, or 30 epochs were too few to learn.
    return min(options.batch, max(n // _FEWEST_STEPS, _SMALLEST_BATCH), n)


def _optimizer(n: int, options: FitOptions) -> Any:
    steps = options.epochs * (n // _batch(n, options))
    return adam(options.learning_rate, steps)


@eqx.filter_jit
def _started(
    keys: Key[Array, " m"],
    trained: Float[Array, "m n d"],
    stopping: Float[Array, "m judged d"],
    options: FitOptions,
) -> _State:
    static = _static(trained.shape[-1], options)

    @eqx.filter_vmap
    def start(
        key: Key[Array, ""], kernels: Float[Array, "n d"], judged: Float[Array, "judged d"]
    ) -> _State:
        face, taps = to_charts(kernels)
        n, d = kernels.shape
        # Half a kernel more on every face, or one that training never saw would be impossible.
        count = jnp.bincount(face, length=faces(d)).astype(taps.dtype) + 0.5
        density = new_density(
            key,
            jnp.log(count / count.sum()),
            *start_of(taps),
            layers=options.layers,
            width=options.width,
        )
        params = eqx.filter(density, eqx.is_inexact_array)
        none = jnp.array(0)
        optimizer = _optimizer(n, options).init(params)
        # The start is a candidate as any epoch is: a flow may have nothing to learn but noise.
        likelihood = -_loss(params, static, judged)
        return _State(params, optimizer, params, likelihood, none, none, none)

    # Without weak types, or the first epoch would be a program of its own.
    return jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), start(keys, trained, stopping))


@eqx.filter_jit
def _epoch(
    keys: Key[Array, " m"],
    state: _State,
    trained: Float[Array, "m n d"],
    judged: Float[Array, "m held d"],
    options: FitOptions,
) -> _State:
    """Train every density on one more pass over its kernels, and keep the best so far."""
    _, n, d = trained.shape
    static = _static(d, options)
    optimizer = _optimizer(n, options)
    batch = _batch(n, options)

    def step(carry: tuple, kernels: Float[Array, "b d"]) -> tuple:
        params, optimizing = carry
        grads = jax.grad(_loss)(params, static, kernels)
        return stepped(optimizer, grads, optimizing, params), None

    def epoch(key: Key[Array, ""], state: _State, trained: Array, judged: Array) -> _State:
        order = jax.random.permutation(key, n)[: n // batch * batch]
        batches = trained[order].reshape(-1, batch, d)
        (params, optimizing), _ = jax.lax.scan(step, (state.params, state.optimizer), batches)
        return _judged(state, params, optimizing, -_loss(params, static, judged), options.patience)

    return jax.vmap(epoch)(keys, state, trained, judged)


def _loss(
    params: KernelDensity, static: KernelDensity, kernels: Float[Array, "b d"]
) -> Float[Array, ""]:
    density = eqx.combine(params, static)
    # The table of faces has its likeliest values from the start.
    density = eqx.tree_at(lambda x: x.log_face, density, jax.lax.stop_gradient(density.log_face))
    return -jnp.mean(jax.vmap(density.log_prob)(kernels))


def _judged(
    state: _State,
    params: PyTree,
    optimizing: Any,
    likelihood: Float[Array, ""],
    patience: int,
) -> _State:
    # One that ran out of patience stays as it is, however long others beside it go on.
    better = (likelihood > state.likelihood) & (state.fruitless < patience)
    epoch = state.epoch + 1
    return _State(
        params,
        optimizing,
        jax.tree.map(lambda new, old: jnp.where(better, new, old), params, state.best),
        jnp.where(better, likelihood, state.likelihood),
        jnp.where(better, 0, state.fruitless + 1),
        epoch,
        jnp.where(better, epoch, state.best_epoch),
    )
