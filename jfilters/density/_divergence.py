"""The divergence between densities that were learned from two sets of kernels, with its error.

Each set is cut into folds, and a density is learned from each fold by itself. Every kernel is scored under
the densities of all other folds, of which each saw none of it, for training or for stopping.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from .._traced import on_host
from ._density import KernelDensity
from ._estimate import estimated
from ._fit import AT_ONCE, split, train
from ._fits import FEWEST
from ._mapped import mapped
from ._options import DEFAULTS, FitOptions
from ._records import FEWEST_FOLDS, FOLDS, Divergences


@on_host("estimate outside of the program, which it compiles itself")
def divergences(
    key: Key[Array, ""],
    kernels: Float[Array, "m n d"],
    *,
    fold: Int[np.ndarray, "m n"] | None = None,
    folds: int = FOLDS,
    options: FitOptions = DEFAULTS,
) -> Divergences:
    """Estimate KL between every two of m sets of kernels on the cube's surface, in nats.

    Each of `folds` densities of a set learns from one fold, a share of which only stops it, and scores
    the other folds. What a log-ratio of densities misses counts with its square alone, and the noise of
    the fits is taken out. What no fit learns makes an estimate too low: a lower bound on average, and
    tight where the flow can represent the sets. The standard error is that of drawing the kernels,
    through scores and fits.

    **Arguments:**

    - `kernels`: as `dequantize` gives them.
    - `fold`: of every kernel, from 0; as many kernels in each of a set. By default at random.
    - `folds`: the number of folds, 3 or more.

    Raises ValueError for fewer than 3 folds, folds of fewer than `FEWEST` / 2 kernels, and unequal ones.
    """
    m, n, d = kernels.shape
    size = n // folds if folds > 0 else 0
    if folds < FEWEST_FOLDS or size < FEWEST // 2:
        raise ValueError(
            f"expected {FEWEST_FOLDS} folds or more of {FEWEST // 2} kernels or more, "
            f"got {folds} of {size}"
        )
    of_folds, of_stopping, of_fit = jax.random.split(key, 3)
    if fold is None:
        # What is left over is in no fold, so that all folds are one program.
        dealt_fold = np.asarray(jax.random.permutation(of_folds, np.arange(n) // size))
        fold = np.broadcast_to(dealt_fold, (m, n))
    blocks = jnp.take_along_axis(kernels, jnp.asarray(_rows(fold, folds, size))[..., None], axis=1)
    blocks = blocks.reshape(m * folds, size, d)
    stopping = split(of_stopping, size, options.stopping)
    densities, _ = train(of_fit, blocks[:, ~stopping], blocks[:, stopping], options)
    return estimated(_scores(densities, blocks.reshape(m, folds, size, d)))


def _rows(fold: Int[np.ndarray, "m n"], folds: int, size: int) -> Int[np.ndarray, "m rows"]:
    """Return the places of the kernels of fold 0, of fold 1, and so on, of every set."""
    counts = np.array([np.bincount(row, minlength=folds)[:folds] for row in fold])
    if (counts != size).any():
        raise ValueError(
            f"expected {size} kernels in each of {folds} folds of a set, got {counts.min()} to "
            f"{counts.max()}"
        )
    return np.argsort(fold, axis=1, kind="stable")[:, : folds * size].astype(np.int32)


def _scores(
    densities: KernelDensity, blocks: Float[Array, "m folds size d"]
) -> Float[np.ndarray, "m m folds views size"]:
    """Return the log-density of all kernels under the densities of every set that did not see them.

    Axes: the set of the densities, the set of the kernels, their fold, the densities of other folds.
    """
    m, folds, size, d = blocks.shape
    arrays, static = eqx.partition(densities, eqx.is_array)
    under = np.empty((m, m, folds, folds - 1, size))
    for of_fold in range(folds):
        members = eqx.combine(jax.tree.map(lambda leaf: leaf[of_fold::folds], arrays), static)  # noqa: B023
        other = [k for k in range(folds) if k != of_fold]
        values = np.asarray(_under_each(members, blocks[:, np.array(other)].reshape(-1, d)))
        values = values.reshape(m, m, folds - 1, size)
        for place, k in enumerate(other):
            under[:, :, k, of_fold - (of_fold > k)] = values[:, :, place]
    return under


@eqx.filter_jit
def _under_each(densities: KernelDensity, kernels: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """Return the log-density of the same kernels under each of several densities."""

    def of_one(density: KernelDensity) -> Float[Array, " n"]:
        return mapped(density.log_prob, kernels, AT_ONCE)

    return eqx.filter_vmap(of_one)(densities)
