"""Averages of networks: which network is a weighted mean of others, and with which shares."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

MOST_PARTS = 5
"""Networks of which an average is looked for (METHOD, Lineage)."""

NEAREST = 8
"""Nearest relatives that are tried as parts."""

RESIDUAL = 0.01
"""Distance from the mean of the parts, as a share of that to the nearest part; others have 0.13 or more."""

SMALLEST_SHARE, LARGEST_SHARE = 0.02, 0.98
"""Shares of a part; a network that has more is a copy."""


class Soup(NamedTuple):
    """A network that is the mean of others: its place, theirs, and their shares, which add up to one."""

    network: int
    parts: tuple[int, ...]
    shares: tuple[float, ...]
    residual: float


def find_soups(weights: Float[np.ndarray, "networks weights"]) -> list[Soup]:
    """Return the networks whose weights are a weighted mean of two to five others, soups left out as parts.

    Fewer parts come first, so that a mean of three is no mean of a mean. Runs on the host in float64.

    >>> parts = np.random.default_rng(0).normal(size=(3, 100))
    >>> [(soup.network, soup.parts) for soup in find_soups(np.vstack([parts, [[0.3, 0.7, 0]] @ parts]))]
    [(3, (0, 1))]
    """
    gram = _gram(weights)
    soups: dict[int, Soup] = {}
    for count in range(2, MOST_PARTS + 1):
        for network in range(len(weights)):
            if network not in soups:
                soup = _soup(gram, network, count, soups)
                if soup is not None:
                    soups[network] = soup
    return list(soups.values())


def _gram(weights: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n n"]:
    """Return inner products about the mean network, so that differences lose no digits."""
    centered = weights.astype(np.float64)
    centered -= centered.mean(axis=0)
    return centered @ centered.T


def _soup(
    gram: Float[np.ndarray, "n n"], network: int, count: int, soups: dict[int, Soup]
) -> Soup | None:
    """Return the network as the mean of so many parts; None where no parts explain it."""
    own = gram[network]
    distances = gram.diagonal() - 2 * own + own[network]
    order = [i for i in np.argsort(distances).tolist() if i != network and i not in soups]
    candidates = sorted([i for i in order if distances[i] > _SAME * own[network]][:NEAREST])
    best: Soup | None = None
    for parts in itertools.combinations(candidates, count):
        soup = _mean(gram, network, parts, distances)
        if soup is not None and (best is None or soup.residual < best.residual):
            best = soup
    return best


def _mean(
    gram: Float[np.ndarray, "n n"],
    network: int,
    parts: Sequence[int],
    distances: Float[np.ndarray, " n"],
) -> Soup | None:
    """Return the soup of these parts with the shares that fit best, if it is near enough."""
    index = np.array(parts)
    own = gram[network]
    differences = gram[np.ix_(index, index)] - own[index][:, None] - own[index][None] + own[network]
    # The constrained least squares of sum(shares) = 1; the ridge holds where the soup is exact.
    ridge = 1e-10 * np.trace(differences) * np.eye(len(index))
    shares = np.linalg.solve(differences + ridge, np.ones(len(index)))
    shares /= shares.sum()
    squared = float(shares @ differences @ shares)
    residual = float(np.sqrt(max(squared, 0) / distances[index].min()))
    fits = residual <= RESIDUAL and np.all((shares > SMALLEST_SHARE) & (shares < LARGEST_SHARE))
    if not fits:
        return None
    return Soup(network, tuple(parts), tuple(shares.tolist()), residual)


_SAME = 1e-12
"""Squared distance, of the squared length, up to which two networks are the same."""
