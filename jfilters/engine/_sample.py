"""A sample of each model's kernels, for the metrics that histograms are too coarse for.

Some are drawn evenly from all kernels of a model. Others complete its layers, so that each can be looked at
by itself, and are marked. All are chosen before they are read: they depend on the sizes and the depths of
the layers alone, so that every engine and every repetition takes the same kernels.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ._plan import PlannedLayer

SEED = 0

OF_A_LAYER = 64
"""Kernels that a layer has in the sample at least, or all that it has: 2 kB of 3x3 kernels."""

OF_A_FIRST_LAYER = 4_096
"""The same for a layer of depth 0, of which all kernels are wanted: at most 147 kB of 3x3 kernels."""


class Sample(NamedTuple):
    """Raw kernels as stored, and the row of each kernel's layer.

    `is_even` marks those that were drawn evenly from all kernels of a model; None stands for all.
    """

    kernels: Float32[np.ndarray, "m d"]
    layer: Int64[np.ndarray, " m"]
    is_even: Bool[np.ndarray, " m"] | None = None

    def marks(self) -> Bool[np.ndarray, " m"]:
        """Return `is_even` as an array."""
        return np.ones(len(self.layer), bool) if self.is_even is None else self.is_even

    @classmethod
    def of_nothing(cls, d: int) -> "Sample":
        """No kernels."""
        return cls(np.zeros((0, d), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))

    @classmethod
    def concatenate(cls, samples: Sequence["Sample"], sizes: Sequence[int]) -> "Sample":
        """Join the samples of several checkpoints, in order; `sizes` are their numbers of layers."""
        starts = itertools.accumulate(sizes[:-1], initial=0)
        return cls(
            np.concatenate([sample.kernels for sample in samples]),
            np.concatenate([s.layer + start for s, start in zip(samples, starts, strict=True)]),
            np.concatenate([sample.marks() for sample in samples]),
        )


class Sampler:
    """Takes the sample of one checkpoint from the stream of its weights."""

    def __init__(self, layers: Sequence[PlannedLayer], d: int, size: int):
        self._drawn = [part for _, member in _by_member(layers) for part in _drawn(member, size)]
        self._samples = [Sample.of_nothing(d)]

    def watch(self, weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass weights on, and take their share of the sample."""
        for row, (weight, drawn) in enumerate(zip(weights, self._drawn, strict=True)):
            if len(drawn.indices):
                kernels = weight.reshape(weight.shape[0] * weight.shape[1], -1)[drawn.indices]
                is_finite = np.isfinite(kernels).all(axis=1)
                finite = kernels[is_finite].astype(np.float32)
                rows = np.full(len(finite), row, np.int64)
                self._samples.append(Sample(finite, rows, drawn.is_even[is_finite]))
            yield weight

    def sample(self) -> Sample:
        """The sample, without kernels that have a NaN or an infinity."""
        return Sample.concatenate(self._samples, [0] * len(self._samples))


def network_sizes(layers: Sequence[PlannedLayer]) -> list[int]:
    """Return how many layers each network of a checkpoint has."""
    return [len(member) for _, member in _by_member(layers)]


def _by_member(layers: Sequence[PlannedLayer]) -> Iterator[tuple[str, list[PlannedLayer]]]:
    for member, part in itertools.groupby(layers, lambda planned: planned.member):
        yield member, list(part)


class _Drawn(NamedTuple):
    """Indices of the sampled kernels of a layer, ascending, and a mask of those that were drawn evenly."""

    indices: Int64[np.ndarray, " k"]
    is_even: Bool[np.ndarray, " k"]


def _drawn(layers: Sequence[PlannedLayer], size: int) -> list[_Drawn]:
    """The sampled kernels of each layer of one model; none if `size` is 0."""
    even = _drawn_evenly([planned.n_kernels for planned in layers], size)
    rng = np.random.default_rng((SEED, 1))
    drawn = []
    for planned, indices in zip(layers, even, strict=True):
        most = OF_A_LAYER if planned.layer.depth else OF_A_FIRST_LAYER
        drawn.append(_completed(rng, indices, planned.n_kernels, most if size else 0))
    return drawn


def _completed(
    rng: np.random.Generator, indices: Int64[np.ndarray, " k"], count: int, least: int
) -> _Drawn:
    """Add kernels of a layer of `count`, drawn from those that are not in, until there are `least`."""
    lacking = min(least, count) - len(indices)
    if lacking <= 0:
        return _Drawn(indices, np.ones(len(indices), bool))
    others = np.setdiff1d(np.arange(count), indices, assume_unique=True)
    added = rng.choice(others, lacking, replace=False, shuffle=False)
    together = np.sort(np.concatenate([indices, added]))
    return _Drawn(together, np.isin(together, indices))


def _drawn_evenly(counts: Sequence[int], size: int) -> list[Int64[np.ndarray, " k"]]:
    """Indices of kernels in layers of so many, `size` of all together, in ascending order."""
    total = sum(counts)
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(total, min(size, total), replace=False, shuffle=False))
    stops = np.cumsum(counts)
    parts = np.split(chosen, np.searchsorted(chosen, stops[:-1]))
    return [part - (stop - count) for part, stop, count in zip(parts, stops, counts, strict=True)]
