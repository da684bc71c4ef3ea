"""Sums of segments, collected for each checkpoint until all of its blocks are done.

They are added up once, in the order of the checkpoint's kernels. So the statistics of a layer do not depend
on which layers shared its blocks, nor on what was read before.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from ..scans.internal import LayerStatistics, scaled_moments
from ..statistics.internal import moments_from_gram, symmetric
from ._blocks import Block
from ._passes import SegmentCounts, SegmentSums, kinds_of

LAYERS_AT_ONCE = 4_096
"""Layers that are finalized together; a hundred thousand at once would need copies of all their sums."""


class PartialSums(NamedTuple):
    """`SegmentSums` with the layer, the first kernel and the centers of each segment."""

    layer_ids: Int64[np.ndarray, " n"]
    starts: Int64[np.ndarray, " n"]
    centers: Float[np.ndarray, "n 2 d"]
    grams: Float[np.ndarray, "n kinds triangle"]
    quality: Float[np.ndarray, "n columns"]

    @classmethod
    def of(cls, block: Block, sums: SegmentSums) -> "PartialSums":
        """Sums of a block's non-empty segments; a program may have split each into several."""
        grams, quality = map(np.asarray, sums)
        times = len(grams) // len(block.counts)
        layer_ids, starts, centers = (
            x.repeat(times, axis=0) for x in (block.layer_ids, block.starts, block.segments.centers)
        )
        # Empty segments would change the order in which later sums are added up.
        used = slice(times * np.count_nonzero(block.counts))
        return cls(layer_ids, starts, centers, grams, quality).take(used)

    def take(self, index: slice | Int64[np.ndarray, " m"]) -> "PartialSums":
        """The sums of the segments at `index`."""
        return PartialSums(*(values[index] for values in self))


@dataclasses.dataclass
class CheckpointSums:
    """The sums of one checkpoint, whose layers have ids from `first` on.

    `pending` counts its kernels in blocks that are not done; `is_read` is set after its last kernel.
    """

    index: int
    statistics: LayerStatistics
    first: int
    pending: int = 0
    is_read: bool = False
    parts: list[PartialSums] = dataclasses.field(default_factory=list)

    def expect(self, kernels: int) -> None:
        """Count the kernels of a layer that is on its way into blocks."""
        self.pending += kernels

    def finalize(self) -> None:
        """Write the sums into the statistics."""
        if not self.parts:
            return
        sums = PartialSums(*map(np.concatenate, zip(*self.parts, strict=True)))
        self.parts = []
        order = np.lexsort((sums.starts, sums.layer_ids))
        bounds = np.append(_runs(sums.layer_ids[order]), len(order))
        for i in range(0, len(bounds) - 1, LAYERS_AT_ONCE):
            group = bounds[i : i + LAYERS_AT_ONCE + 1]
            _fill(self.statistics, self.first, sums.take(order[group[0] : group[-1]]))


class Accumulator:
    """The sums of all checkpoints under way; each of their layers has an id of its own."""

    def __init__(self):
        self._next = 0
        self._open: dict[int, CheckpointSums] = {}
        self._complete: list[int] = []

    def open(self, index: int, statistics: LayerStatistics) -> CheckpointSums:
        """Start the sums of checkpoint `index`, which end in `statistics`."""
        sums = self._open[self._next] = CheckpointSums(index, statistics, self._next)
        self._next += len(statistics)
        return sums

    def close(self, checkpoint: CheckpointSums, *, failed: bool = False) -> None:
        """Note that no more kernels of a checkpoint follow: all were read, or reading `failed`."""
        checkpoint.is_read = True
        if failed:
            del self._open[checkpoint.first]
        elif not checkpoint.pending:
            self._finalize(checkpoint)

    def pop_complete(self) -> list[int]:
        """Indices of the checkpoints that became complete since the last call."""
        complete, self._complete = self._complete, []
        return complete

    def add(self, block: Block, sums: SegmentSums | None, counts: SegmentCounts | None) -> None:
        """Add the results of a block's segments to their checkpoints; finalize those that are complete."""
        if sums is not None:
            parts = PartialSums.of(block, sums)
            for checkpoint, share in self._shares(parts.layer_ids):
                checkpoint.parts.append(parts.take(share))
        if counts is not None:
            self._add_counts(block, counts)
        for checkpoint, share in self._shares(block.layer_ids):
            checkpoint.pending -= int(block.counts[share].sum())
            if checkpoint.is_read and not checkpoint.pending:
                self._finalize(checkpoint)

    def _add_counts(self, block: Block, counts: SegmentCounts) -> None:
        runs = _runs(block.layer_ids)
        layer_ids, totals = block.layer_ids[runs], _by_run(counts, runs)
        for checkpoint, share in self._shares(layer_ids):
            rows = layer_ids[share] - checkpoint.first
            for name, values in totals.items():
                getattr(checkpoint.statistics, name)[rows] += values[share]

    def _shares(self, layer_ids: Int64[np.ndarray, " n"]) -> Iterator[tuple[CheckpointSums, slice]]:
        """Each open checkpoint with its range of the sorted `layer_ids`, where it has any."""
        checkpoints = list(self._open.values())
        bounds = [(each.first, each.first + len(each.statistics)) for each in checkpoints]
        ranges = np.searchsorted(layer_ids, bounds)
        for checkpoint, (start, stop) in zip(checkpoints, ranges, strict=True):
            if start < stop:
                yield checkpoint, slice(start, stop)

    def _finalize(self, checkpoint: CheckpointSums) -> None:
        del self._open[checkpoint.first]
        checkpoint.finalize()
        self._complete.append(checkpoint.index)


def _fill(statistics: LayerStatistics, first: int, sums: PartialSums) -> None:
    """Add up the sums of each layer, and write them into `statistics` in units of the weights."""
    runs = _runs(sums.layer_ids)
    rows = sums.layer_ids[runs] - first
    grams, quality = (
        np.add.reduceat(x, runs, dtype=np.float64) for x in (sums.grams, sums.quality)
    )
    kinds, largest = kinds_of(grams.shape[1]), statistics.max_abs[rows]
    is_normalized = np.array([kind == "normalized" for kind in kinds])
    centers = sums.centers[runs][:, np.where(is_normalized, 0, 1)].astype(np.float64)
    units = np.where(is_normalized, 1.0, largest[:, None])
    moments = scaled_moments(moments_from_gram(centers, symmetric(grams)), units)
    for i, kind in enumerate(kinds):
        total = getattr(statistics, kind)
        for name in ("count", "mean", "scatter"):
            getattr(total, name)[rows] = getattr(moments, name)[:, i]
    if quality.shape[1]:
        n_zero, n_sparse, sum_abs, *n_below = quality.T
        statistics.n_zero[rows], statistics.n_sparse[rows] = n_zero, n_sparse
        statistics.sum_abs[rows] = sum_abs * largest
        statistics.n_below[rows] = np.stack(n_below, axis=1)


def _by_run(counts: SegmentCounts, runs: Int64[np.ndarray, " runs"]) -> dict[str, np.ndarray]:
    """Counts summed over each run of segments; arrays that are zero everywhere are left out."""
    # Most segments hold no sparse kernel, and small layers have one segment each.
    arrays = {name: x for name, x in counts._asdict().items() if x is not None and x.any()}
    return {
        name: x if len(runs) == len(x) else np.add.reduceat(x, runs, dtype=np.int64)
        for name, x in arrays.items()
    }


def _runs(layer_ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " runs"]:
    """First index of each run of equal ids."""
    return np.append(0, 1 + np.flatnonzero(layer_ids[1:] != layer_ids[:-1]))
