"""A sample of each model's kernels, for the metrics that histograms are too coarse for.

It is uniform over the kernels of a model and chosen before they are read. It depends on the sizes of the
layers alone, so that every engine and every repetition takes the same kernels.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from ._plan import PlannedLayer

SEED = 0


class Sample(NamedTuple):
    """Raw kernels as stored, and the row of each kernel's layer."""

    kernels: Float32[np.ndarray, "m d"]
    layer: Int64[np.ndarray, " m"]

    @classmethod
    def of_nothing(cls, d: int) -> "Sample":
        """No kernels."""
        return cls(np.zeros((0, d), np.float32), np.zeros(0, np.int64))

    @classmethod
    def concatenate(cls, samples: Sequence["Sample"], sizes: Sequence[int]) -> "Sample":
        """Join the samples of several checkpoints, in order; `sizes` are their numbers of layers."""
        starts = itertools.accumulate(sizes[:-1], initial=0)
        return cls(
            np.concatenate([sample.kernels for sample in samples]),
            np.concatenate([s.layer + start for s, start in zip(samples, starts, strict=True)]),
        )


class Sampler:
    """Takes the sample of one checkpoint from the stream of its weights."""

    def __init__(self, layers: Sequence[PlannedLayer], d: int, size: int):
        self._indices = [i for _, member in _by_member(layers) for i in _draw(member, size)]
        self._samples = [Sample.of_nothing(d)]

    def watch(self, weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass weights on, and take their share of the sample."""
        for row, (weight, indices) in enumerate(zip(weights, self._indices, strict=True)):
            if len(indices):
                kernels = weight.reshape(weight.shape[0] * weight.shape[1], -1)[indices]
                finite = kernels[np.isfinite(kernels).all(axis=1)].astype(np.float32)
                self._samples.append(Sample(finite, np.full(len(finite), row, np.int64)))
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


def _draw(layers: Sequence[PlannedLayer], size: int) -> list[np.ndarray]:
    """Indices of the sampled kernels in each layer of one model, in ascending order."""
    counts = [planned.n_kernels for planned in layers]
    total = sum(counts)
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(total, min(size, total), replace=False, shuffle=False))
    stops = np.cumsum(counts)
    parts = np.split(chosen, np.searchsorted(chosen, stops[:-1]))
    return [part - (stop - count) for part, stop, count in zip(parts, stops, counts, strict=True)]
