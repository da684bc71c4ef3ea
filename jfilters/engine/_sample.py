"""A sample of each model's kernels, kept for the metrics that histograms are too coarse for.

Uniform over the kernels of a model and drawn before they are read: which they are depends on the sizes of
its layers alone, so that every engine and every repetition keeps the same ones.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from ._plan import PlannedLayer

SEED = 0


class Sample(NamedTuple):
    """Raw kernels as stored, and for each the row of its layer."""

    kernels: Float32[np.ndarray, "m d"]
    layer: Int64[np.ndarray, " m"]

    @classmethod
    def of_nothing(cls, d: int) -> "Sample":
        """No kernels."""
        return cls(np.zeros((0, d), np.float32), np.zeros(0, np.int64))

    @classmethod
    def concatenate(cls, samples: Sequence["Sample"], sizes: Sequence[int]) -> "Sample":
        """Those of several checkpoints, with so many layers each, one after another."""
        starts = itertools.accumulate(sizes[:-1], initial=0)
        return cls(
            np.concatenate([sample.kernels for sample in samples]),
            np.concatenate([s.layer + start for s, start in zip(samples, starts, strict=True)]),
        )


class Sampler:
    """Takes the kernels of one checkpoint's sample while its weights go by."""

    def __init__(self, layers: Sequence[PlannedLayer], d: int, size: int):
        self._drawn = [drawn for _, part in _by_member(layers) for drawn in _draw(part, size)]
        self._found = [Sample.of_nothing(d)]

    def watch(self, weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass weights on."""
        for row, (weight, drawn) in enumerate(zip(weights, self._drawn, strict=True)):
            if len(drawn):
                kernels = weight.reshape(weight.shape[0] * weight.shape[1], -1)[drawn]
                finite = kernels[np.isfinite(kernels).all(axis=1)].astype(np.float32)
                self._found.append(Sample(finite, np.full(len(finite), row, np.int64)))
            yield weight

    def sample(self) -> Sample:
        """The kernels that were taken; those with a NaN or an infinity were not."""
        return Sample.concatenate(self._found, [0] * len(self._found))


def _by_member(layers: Sequence[PlannedLayer]) -> Iterator[tuple[str, list[PlannedLayer]]]:
    for member, part in itertools.groupby(layers, lambda planned: planned.member):
        yield member, list(part)


def _draw(layers: Sequence[PlannedLayer], size: int) -> list[np.ndarray]:
    """The places of the sampled kernels in each layer of one model, in ascending order."""
    counts = [planned.n_kernels for planned in layers]
    total = sum(counts)
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(total, min(size, total), replace=False, shuffle=False))
    stops = np.cumsum(counts)
    parts = np.split(chosen, np.searchsorted(chosen, stops[:-1]))
    return [part - (stop - count) for part, stop, count in zip(parts, stops, counts, strict=True)]
