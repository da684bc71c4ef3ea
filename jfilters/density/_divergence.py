"""The divergence between densities that were learned from two sets of kernels, with its error.

Both directions of KL are estimated on kernels that neither density was trained on, several times with other
kernels held out. Sets of equal size are learned equally well, so that what is missing from one density is
missing from the other and cancels: two halves of one set differ by nothing but chance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from ._fit import FEWEST, fit_many, log_probs
from ._options import DEFAULTS, FitOptions

FOLDS = 4
"""How many times densities are learned, each time with another part of the kernels held out."""

DISTINGUISHABLE = 2.0
"""How many standard errors J has to be above 0 for two sets to be told apart."""


class Divergences(NamedTuple):
    """KL divergences between m sets of kernels, in nats, with standard errors; rows from, columns to.

    `kl[i, j]` is KL(i || j): how many nats a kernel of i is likelier under its own density than under j's.
    `jeffreys` is the sum of both directions, as D is. 0 on the diagonal; an estimate may fall below 0 by
    chance. `likelihood` is the held-out log-density of each set under its own density.
    """

    kl: Float[np.ndarray, "m m"]
    kl_error: Float[np.ndarray, "m m"]
    jeffreys: Float[np.ndarray, "m m"]
    jeffreys_error: Float[np.ndarray, "m m"]
    likelihood: Float[np.ndarray, " m"]
    likelihood_error: Float[np.ndarray, " m"]

    @property
    def distinguishable(self) -> Bool[np.ndarray, "m m"]:
        """Whether two sets differ by more than `DISTINGUISHABLE` standard errors."""
        return self.jeffreys > DISTINGUISHABLE * self.jeffreys_error


def divergences(
    key: Key[Array, ""],
    kernels: Float[Array, "m n d"],
    *,
    folds: int = FOLDS,
    options: FitOptions = DEFAULTS,
) -> Divergences:
    """KL between every two of m sets of kernels on the cube's surface, learned `folds` times.

    The standard error adds what the drawing of held-out kernels makes and how the folds differ, which holds
    the chance of the fits; it is on the careful side.

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
    """For every set its held-out kernels, under the density of every set."""
    fits = fit_many(key, kernels, options=options, held_out=held_out)
    judged = kernels[:, held_out]
    m, held, d = judged.shape
    everything = jnp.broadcast_to(judged.reshape(1, m * held, d), (m, m * held, d))
    under = log_probs(fits.densities, everything).reshape(m, m, held)
    return np.asarray(under, np.float64).transpose(1, 0, 2)


def _summed(under: Float[np.ndarray, "folds m m held"]) -> Divergences:
    own = np.einsum("fiih->fih", under)
    ahead = own[:, :, None] - under  # nats that each kernel is likelier under its own density
    kl, drawn = ahead.mean(axis=3), ahead.var(axis=3, ddof=1) / ahead.shape[3]
    jeffreys = kl + kl.transpose(0, 2, 1)
    likelihood = own.mean(axis=2)
    return Divergences(
        kl.mean(axis=0),
        _error(kl, drawn),
        jeffreys.mean(axis=0),
        _error(jeffreys, drawn + drawn.transpose(0, 2, 1)),
        likelihood.mean(axis=0),
        _error(likelihood, own.var(axis=2, ddof=1) / own.shape[2]),
    )


def _error(values: Float[np.ndarray, "folds ..."], drawn: Float[np.ndarray, "folds ..."]):
    """The standard error of a mean over folds, given the variance that drawing makes in each."""
    # Folds share most of their kernels, so that their fits err together: the spread is not divided.
    return np.sqrt(drawn.sum(axis=0) / len(values) ** 2 + values.var(axis=0, ddof=1))
