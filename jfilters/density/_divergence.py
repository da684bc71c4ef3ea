"""The divergence between densities that were learned from two sets of kernels, with its error.

Both directions of KL are estimated on kernels that neither density was trained on, several times with other
kernels held out. Sets of equal size are learned equally well, so that what is missing from one density is
missing from the other and cancels: two halves of one set differ by nothing but chance.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ._fit import fit_many, log_probs
from ._fits import FEWEST
from ._options import DEFAULTS, FitOptions
from ._records import FOLDS, Divergences


def divergences(
    key: Key[Array, ""],
    kernels: Float[Array, "m n d"],
    *,
    folds: int = FOLDS,
    options: FitOptions = DEFAULTS,
) -> Divergences:
    """Estimate KL between every two of m sets of kernels on the cube's surface, in nats.

    Densities are fitted `folds` times. The standard error adds the sampling error of held-out kernels
    and the spread of the folds, which holds the randomness of the fits; it is on the careful side.

    Raises ValueError for fewer than 2 folds, and folds with fewer than `FEWEST` / 2 kernels each.
    """
    n = kernels.shape[1]
    if folds < 2 or n // folds < FEWEST // 2:
        raise ValueError(
            f"expected 2 folds or more of {FEWEST // 2} kernels or more, got {folds} of {n // folds}"
        )
    of_folds, *of_fits = jax.random.split(key, folds + 1)
    # As many in every fold, so that all are one program; what is left over is always trained on.
    fold = np.asarray(jax.random.permutation(of_folds, np.arange(n) // (n // folds)))
    under = [_under_each(of_fit, kernels, fold == k, options) for k, of_fit in enumerate(of_fits)]
    return _summed(np.array(under))


def _under_each(
    key: Key[Array, ""], kernels: Float[Array, "m n d"], held_out: np.ndarray, options: FitOptions
) -> Float[np.ndarray, "m m held"]:
    """Return the log-density of every set's held-out kernels under the density of every set."""
    fits = fit_many(key, kernels, options=options, held_out=held_out)
    judged = kernels[:, held_out]
    m, n, d = judged.shape
    everything = jnp.broadcast_to(judged.reshape(1, m * n, d), (m, m * n, d))
    under = log_probs(fits.densities, everything).reshape(m, m, n)
    return np.asarray(under, np.float64).transpose(1, 0, 2)


def _summed(under: Float[np.ndarray, "folds m m held"]) -> Divergences:
    under_own = np.einsum("fiih->fih", under)
    ahead = under_own[:, :, None] - under  # nats that a kernel is likelier under its own density
    kl, variance = ahead.mean(axis=3), ahead.var(axis=3, ddof=1) / ahead.shape[3]
    jeffreys = kl + kl.transpose(0, 2, 1)
    likelihood = under_own.mean(axis=2)
    return Divergences(
        kl.mean(axis=0),
        _error(kl, variance),
        jeffreys.mean(axis=0),
        _error(jeffreys, variance + variance.transpose(0, 2, 1)),
        likelihood.mean(axis=0),
        _error(likelihood, under_own.var(axis=2, ddof=1) / under.shape[3]),
    )


def _error(
    values: Float[np.ndarray, "folds ..."], variance: Float[np.ndarray, "folds ..."]
) -> Float[np.ndarray, "..."]:
    """Return the standard error of a mean over folds, given the sampling variance in each."""
    # Folds share most of their kernels, so that their fits err together: the spread is not divided.
    return np.sqrt(variance.sum(axis=0) / len(values) ** 2 + values.var(axis=0, ddof=1))
