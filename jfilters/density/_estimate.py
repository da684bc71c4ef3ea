"""KL from log-ratios of densities on kernels that none of them saw: without the bias of the fits.

NumPy in float64. With T the log-ratio log p_A - log p_B of two fitted densities, E_A T is off by the mean
error of T, which is a tenth of J with few kernels: a density errs most where the other set lies. Instead

KL(A || B) = E_A [T + w(T)] - E_B [exp(T) cos(u) w(T)]

- exp(T) cancels the error of T to first order (Nguyen, Wainwright & Jordan, arXiv:0809.0853): with w = 1
  and u = 0 the value is a lower bound on average, and half the mean square of the error is missing.
- Densities of other folds give T independently. T is their mean and u a contrast of them with the same
  noise. E exp(noise) cos(u) = 1 for normal noise, so that noise is missing from no value.
- w is 1 where both sets have kernels, and 0 where exp(T) would let one kernel decide.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._records import Divergences

_OVERLAP, _APART = 4.0, 6.0  # nats of a log-ratio: w is 1 up to the first and 0 from the second on

_SHRUNK = (0.85, 0.7, 0.5, 0.3)
_SURE = (
    2.0  # standard errors that a shrunk log-ratio has to be ahead by: nearly never of a good fit
)


def estimated(under: Float[np.ndarray, "m m folds views size"]) -> Divergences:
    """Return the divergences of m sets from the log-density of each kernel under every set's densities.

    **Arguments:**

    - `under`: axes are the set of the densities, the set of the kernels, their fold, the densities that
      did not see the kernels (independent of one another), and the kernels of the fold.
    """
    m = len(under)
    kl, kl_error, jeffreys_error = np.zeros((3, m, m))
    for i in range(m):
        for j in range(i):
            parts = _pair(under[i, i] - under[j, i], under[i, j] - under[j, j])
            kl[i, j], kl[j, i], kl_error[i, j], kl_error[j, i], error = parts
            jeffreys_error[i, j] = jeffreys_error[j, i] = error
    own = np.einsum("iifvs->ifvs", under)
    likelihood = own.mean(axis=(1, 2, 3))
    return Divergences(kl, kl_error, kl + kl.T, jeffreys_error, likelihood, _likelihood_error(own))


def _pair(
    of_first: Float[np.ndarray, "folds views size"],
    of_second: Float[np.ndarray, "folds views size"],
) -> tuple[float, float, float, float, float]:
    """KL both ways, their errors, and that of their sum, from the log-ratio on either set's kernels.

    A shrunk log-ratio gives a lower bound as any does. One is used where it is higher for sure: where fits
    are too confident, as of few kernels of a complex shape.
    """
    whole = _both_ways(of_first, of_second)
    shrunk = [_both_ways(by * of_first, by * of_second) for by in _SHRUNK]
    best = max(shrunk, key=lambda parts: parts[0] + parts[1])
    gain = best[0] + best[1] - whole[0] - whole[1]
    return best if gain > _SURE * whole[4] else whole


def _both_ways(
    of_first: Float[np.ndarray, "folds views size"],
    of_second: Float[np.ndarray, "folds views size"],
) -> tuple[float, float, float, float, float]:
    first, second = _terms(of_first), _terms(-of_second)
    # Forward is the mean of `ahead` of the first less the mean of `behind` of the second.
    forward = first.ahead.mean() - second.behind.mean()
    backward = second.ahead.mean() - first.behind.mean()
    return (
        float(forward),
        float(backward),
        _error(first.ahead, first.ahead_noise, second.behind, second.behind_noise),
        _error(second.ahead, second.ahead_noise, first.behind, first.behind_noise),
        _error(
            first.ahead - first.behind,
            first.ahead_noise - first.behind_noise,
            second.ahead - second.behind,
            second.ahead_noise - second.behind_noise,
        ),
    )


class _Terms(NamedTuple):
    ahead: Float[np.ndarray, " n"]
    behind: Float[np.ndarray, " n"]
    ahead_noise: Float[np.ndarray, " n"]
    behind_noise: Float[np.ndarray, " n"]


def _terms(log_ratio: Float[np.ndarray, "folds views size"]) -> _Terms:
    """Return the parts of KL that kernels of one set give, and how noise of the fits moves each."""
    t = log_ratio.mean(axis=1).ravel()
    u = np.einsum("v,fvs->fs", _contrast(log_ratio.shape[1]), log_ratio).ravel()
    overlap = np.clip((_APART - np.abs(t)) / (_APART - _OVERLAP), 0, 1)
    w = np.sin(np.pi / 2 * overlap) ** 2
    behind = np.exp(np.clip(-t, None, _APART)) * np.cos(u) * w
    return _Terms(t + w, behind, u, -behind * u)


def _contrast(views: int) -> Float[np.ndarray, " views"]:
    """Return weights of independent values: of sum 0, and of the variance that their mean has."""
    even = views // 2 * 2
    signs = np.where(np.arange(views) % 2 == 0, 1.0, -1.0) * (np.arange(views) < even)
    return signs / np.sqrt(views * even)


def _error(
    first: Float[np.ndarray, " n"],
    first_noise: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " n"],
    second_noise: Float[np.ndarray, " n"],
) -> float:
    # Influence of single kernels. The noise of a fit is a sum over pairs of kernels, one trained on and one
    # scored, and each pair is in the influence of both: half of its variance is counted twice.
    n = first.size
    variance = (first.var(ddof=1) + second.var(ddof=1)) / n
    noise = (first_noise.var(ddof=1) + second_noise.var(ddof=1)) / n
    return float(np.sqrt(max(variance - noise / 2, variance / 2)))


def _likelihood_error(own: Float[np.ndarray, "m folds views size"]) -> Float[np.ndarray, " m"]:
    """Return the error of drawing kernels, and of the spread of the fits."""
    m, folds, views, size = own.shape
    of_kernels = own.mean(axis=2).reshape(m, -1).var(axis=1, ddof=1) / (folds * size)
    return np.sqrt(of_kernels + own.mean(axis=(1, 3)).var(axis=1, ddof=1) / views)
