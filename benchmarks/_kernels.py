"""Laws of normalized kernels whose components depend on each other, as those of real kernels do."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jfilters.statistics import Basis, Moments, fit_basis
from jfilters.statistics.internal import host_counts, host_normalize

from ._designs import EDGES

D, FITTED = 9, 100_000
Draw = Callable[[np.random.Generator, int], np.ndarray]


class Law(NamedTuple):
    """A law of kernels, with its own basis."""

    name: str
    draw: Draw
    basis: Basis
    ratio: np.ndarray
    edges: np.ndarray

    def histogram(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return the histogram of n kernels."""
        return host_counts(host_normalize(self.draw(rng, n)), self.basis, self.edges)


def laws() -> Iterator[Law]:
    """Yield kernels without structure, smooth ones, and such with a single large tap."""
    draws = {"Gaussian": _gaussian, "smooth": _smooth, "spiky": _spiky}
    for name, draw in draws.items():
        kernels = host_normalize(draw(np.random.default_rng(0), FITTED)).astype(np.float64)
        mean = kernels.mean(axis=0)
        scatter = (kernels - mean).T @ (kernels - mean)
        basis = fit_basis(Moments(np.array(float(FITTED)), mean, scatter))
        yield Law(name, draw, basis, np.asarray(basis.variance_ratio, np.float64), EDGES)


def _gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal((n, D)).astype(np.float32)


def _smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    bump = np.outer([1, 2, 1], [1, 2, 1]).ravel() / 4
    kernels = rng.standard_normal((n, 1)) * bump + 0.5 * rng.standard_normal((n, D))
    return kernels.astype(np.float32)


def _spiky(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_t(1.5, (n, D)).astype(np.float32)
