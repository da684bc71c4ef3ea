"""Cards: the sufficient statistics of layers, from which every table is computed without the weights.

A scan keeps the cards of all its layers as one record of stacked float64 and int64 arrays. They merge
exactly: counts and histograms add, moments merge by Chan's rule.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Int, Int64

from ..statistics import EPSILONS, Moments


class Cards(eqx.Module):
    """The cards of n layers with kernels of d taps, along the first axis of every array.

    `normalized` are the moments of normalized kernels; `raw` and `clean` those of the weights as stored,
    with and without sparse kernels. `n_below` counts the kernels that stay below each of `EPSILONS` times
    the layer's largest weight, and `sparse_histogram` is the part of `histogram` that sparse kernels make.
    Kernels with a NaN or an infinity are counted in `n_nonfinite` and enter nothing else.
    """

    n_finite: Int64[np.ndarray, " n"]
    n_zero: Int64[np.ndarray, " n"]
    n_sparse: Int64[np.ndarray, " n"]
    n_nonfinite: Int64[np.ndarray, " n"]
    n_below: Int64[np.ndarray, "n epsilons"]
    max_abs: Float[np.ndarray, " n"]
    sum_abs: Float[np.ndarray, " n"]
    orthogonality: Float[np.ndarray, " n"]
    normalized: Moments
    raw: Moments
    clean: Moments
    histogram: Int64[np.ndarray, "n d bins"]
    sparse_histogram: Int64[np.ndarray, "n d bins"]
    n_outside: Int64[np.ndarray, " n"]

    @classmethod
    def empty(cls, n: int, d: int, bins: int) -> "Cards":
        """Cards of n layers of which nothing was seen yet."""
        return cls(
            n_finite=np.zeros(n, np.int64),
            n_zero=np.zeros(n, np.int64),
            n_sparse=np.zeros(n, np.int64),
            n_nonfinite=np.zeros(n, np.int64),
            n_below=np.zeros((n, len(EPSILONS)), np.int64),
            max_abs=np.zeros(n),
            sum_abs=np.zeros(n),
            orthogonality=np.full(n, np.nan),
            normalized=_no_moments(n, d),
            raw=_no_moments(n, d),
            clean=_no_moments(n, d),
            histogram=np.zeros((n, d, bins), np.int64),
            sparse_histogram=np.zeros((n, d, bins), np.int64),
            n_outside=np.zeros(n, np.int64),
        )

    def forget_histograms(self) -> None:
        """Make all counts of coefficients zero, in place."""
        for counts in (self.histogram, self.sparse_histogram, self.n_outside):
            counts[...] = 0

    def __len__(self) -> int:
        return len(self.n_finite)

    @property
    def n_kernels(self) -> Int64[np.ndarray, " n"]:
        """Kernels of each layer, whatever their values."""
        return self.n_finite + self.n_nonfinite

    @property
    def sum_squares(self) -> Float[np.ndarray, " n"]:
        """Sum of the squares of all finite weights of each layer."""
        raw = self.raw
        spread = np.trace(np.asarray(raw.scatter), axis1=1, axis2=2)
        return spread + np.asarray(raw.count) * np.sum(np.square(np.asarray(raw.mean)), axis=1)

    @classmethod
    def concatenate(cls, cards: Sequence["Cards"]) -> "Cards":
        """The cards of all layers of several records, in their order."""
        filled = [part for part in cards if len(part)] or cards[:1]
        if len(filled) == 1:  # histograms of many layers are not copied for nothing
            return filled[0]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *filled)

    def take(self, layers: Int[np.ndarray, " m"]) -> "Cards":
        """The cards of some layers."""
        return jax.tree.map(lambda values: values[layers], self)


def pool_moments(parts: Moments, starts: Int[np.ndarray, " runs"]) -> Moments:
    """Stacked moments merged run by run along their first axis: Chan's rule at once, in float64."""
    count, mean, scatter = (
        np.asarray(part, np.float64) for part in (parts.count, parts.mean, parts.scatter)
    )
    total = np.add.reduceat(count, starts)
    center = np.add.reduceat(count[..., None] * mean, starts) / np.maximum(total, 1)[..., None]
    offset = mean - np.repeat(center, np.diff(starts, append=len(count)), axis=0)
    between = count[..., None, None] * offset[..., :, None] * offset[..., None, :]
    return Moments(count=total, mean=center, scatter=np.add.reduceat(scatter + between, starts))


def scaled_moments(parts: Moments, scale: Float[np.ndarray, "*sets"]) -> Moments:
    """Stacked moments of kernels times `scale`, in float64."""
    mean, scatter = np.asarray(parts.mean, np.float64), np.asarray(parts.scatter, np.float64)
    return Moments(
        count=np.asarray(parts.count),
        mean=mean * scale[..., None],
        scatter=scatter * scale[..., None, None] ** 2,
    )


def pooled_moments(cards: Moments) -> Moments:
    """Stacked moments merged into those of the whole population."""
    whole = pool_moments(cards, np.zeros(1, np.int64))
    return jax.tree.map(lambda values: values[0], whole)


def _no_moments(n: int, d: int) -> Moments:
    return Moments(count=np.zeros(n), mean=np.zeros((n, d)), scatter=np.zeros((n, d, d)))
