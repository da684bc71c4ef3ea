"""Thinning of histograms to equal numbers of kernels, so that sizes cannot make a difference."""

import math

import numpy as np
from jaxtyping import Float, Int64, Integer, Num

_MOST_EXACT = 10**9
"""Kernels from which on NumPy draws no hypergeometric numbers; their limit is normal."""


def dealt_counts(
    rng: np.random.Generator,
    counts: Integer[np.ndarray, "*sets bins"],
    size: int | Integer[np.ndarray, "*sets"],
) -> Int64[np.ndarray, "*sets bins"]:
    """Draw `size` kernels of every histogram without replacement, each histogram by itself.

    A multivariate hypergeometric draw, bin after bin for all histograms at once. A histogram of no more
    kernels than `size` stays whole. Runs on the host.
    """
    remaining = counts.sum(axis=-1, dtype=np.int64)
    wanted = np.minimum(size, remaining)
    sampled = np.zeros(counts.shape, np.int64)
    for place in range(counts.shape[-1]):
        of_bin = counts[..., place].astype(np.int64)
        remaining = remaining - of_bin
        sampled[..., place] = _hypergeometric(rng, of_bin, remaining, wanted)
        wanted = wanted - sampled[..., place]
    return sampled


def common_size(
    sizes: Int64[np.ndarray, " parts"],
    group: Int64[np.ndarray, " parts"],
    scatter: float,
    kappa: float,
) -> int:
    """Return the number of kernels n0 that leaves the means of groups least uncertain.

    Parts of fewer kernels stay out; every group keeps two parts, or the one that it has. The squared
    error is (scatter + kappa / n0) times the sum of 1 / (parts of a group). Looks at no group's histogram.

    Source: derived for this project; docs/method.md, Thinning.

    Args:
        sizes: numbers of kernels.
        group: 0, 1, ... of each part.
        scatter: squared distance of units beyond sampling.
        kappa: times kernels, the squared sampling error of one part.
    """
    fewest = np.minimum(2, np.bincount(group))
    best, size = math.inf, int(sizes.min())
    for candidate in np.unique(sizes):
        parts = np.bincount(group[sizes >= candidate], minlength=len(fewest))
        if (parts < fewest).any():
            break
        error = (scatter + kappa / max(candidate, 1)) * np.sum(1 / parts[parts > 0])
        if error < best:
            best, size = error, int(candidate)
    return size


def _hypergeometric(
    rng: np.random.Generator,
    good: Num[np.ndarray, "*sets"],
    bad: Num[np.ndarray, "*sets"],
    size: Num[np.ndarray, "*sets"],
) -> Int64[np.ndarray, "*sets"]:
    if np.max(good, initial=0) < _MOST_EXACT and np.max(bad, initial=0) < _MOST_EXACT:
        return rng.hypergeometric(good, bad, size)
    total = np.maximum(good + bad, 1).astype(np.float64)
    share = good / total
    variance = size * share * (1 - share) * (total - size) / np.maximum(total - 1, 1)
    values = np.rint(size * share + np.sqrt(variance) * rng.standard_normal(good.shape))
    return np.clip(values, np.maximum(size - bad, 0), np.minimum(good, size)).astype(np.int64)


def shares(counts: Num[np.ndarray, "*sets bins"]) -> Float[np.ndarray, "*sets bins"]:
    """Return the share of the kernels in each bin; zeros where there is no kernel."""
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
