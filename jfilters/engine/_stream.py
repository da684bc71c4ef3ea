"""Checkpoints in, layer statistics out: the weights stream through the passes on this machine's devices."""

from collections.abc import Iterable, Iterator

import jax
import numpy as np

from ..errors import CheckpointError
from ..scans.internal import LayerStatistics
from ..statistics import Basis
from ._accumulator import Accumulator
from ._bins import Bins, OnFailure, Opened, Pass, on_device
from ._blocks import LayerKernels, Segments, pack
from ._devices import over_blocks, platform, run
from ._options import Options
from ._orthogonality import tiled_orthogonality
from ._passes import (
    ANY_ORDER,
    WIDE_VECTORS,
    SegmentCounts,
    SegmentSums,
    histogram_pass,
    moments_pass,
    range_pass,
)
from ._prepare import prepare

MOMENTS_ROWS = 8_192
"""Kernels whose moments are taken at a time: products of longer columns leave the cache."""


def collect(checkpoints: Iterable[Opened], purpose: Pass, on_failure: OnFailure) -> Iterator[int]:
    """Run one pass over checkpoints, on all local devices.

    Checkpoints become complete a little after their weights were read, since several blocks are under way
    at a time. Memory does not grow with their number.

    **Arguments:**

    - `checkpoints`: read one after another, in order; their statistics are filled in place.
    - `purpose`: the statistics that the pass takes.
    - `on_failure`: called with the index and the error of a checkpoint that fails; the pass goes on.

    **Returns:** an iterator over the index of each checkpoint, as soon as its statistics are complete.
    """
    accumulator = Accumulator()

    def layers() -> Iterator[LayerKernels]:
        for index, statistics, weights in checkpoints:
            sums = accumulator.open(index, statistics)
            try:
                for row, weight in enumerate(weights):
                    layer = _layer(statistics, row, weight, purpose, first=sums.first)
                    sums.expect(len(layer.rows))
                    yield layer
                accumulator.close(sums)
            except CheckpointError as error:
                accumulator.close(sums, failed=True)
                on_failure(index, error)

    def compute(segments: list[Segments]) -> tuple[SegmentSums | None, SegmentCounts | None]:
        return _results(segments, purpose)

    for block, (sums, counts) in over_blocks(pack(layers()), compute):
        accumulator.add(block, sums, counts)
        yield from accumulator.pop_complete()
    yield from accumulator.pop_complete()


def coefficient_range(
    checkpoints: Iterable[Opened], options: Options, basis: Basis, on_failure: OnFailure
) -> tuple[float, float]:
    """Smallest and largest coefficient in `basis` over all kernels; inf and -inf without kernels."""
    device, purpose = on_device(basis), Pass(options)
    low, high = np.inf, -np.inf

    def layers() -> Iterator[LayerKernels]:
        for index, statistics, weights in checkpoints:
            try:
                for row, weight in enumerate(weights):
                    yield _layer(statistics, row, weight, purpose)
            except CheckpointError as error:
                on_failure(index, error)

    def compute(segments: list[Segments]) -> tuple[jax.Array, jax.Array]:
        static = options.of_passes
        return run(range_pass, segments, device, on_cpu=WIDE_VECTORS, options=static)

    for _, (lows, highs) in over_blocks(pack(layers()), compute):
        low, high = min(low, float(lows.min())), max(high, float(highs.max()))
    return low, high


def _layer(
    statistics: LayerStatistics, row: int, weight: np.ndarray, purpose: Pass, *, first: int = 0
) -> LayerKernels:
    """The kernels of a layer for the passes; the first pass writes what the host sees into its statistics.

    Later passes take the largest weight of a finite layer from its statistics.
    """
    largest = (
        None if purpose.first or statistics.n_nonfinite[row] else float(statistics.max_abs[row])
    )
    prepared = prepare(weight, largest=largest)
    if purpose.first:
        statistics.n_finite[row] = len(prepared.rows)
        statistics.n_nonfinite[row] = prepared.n_nonfinite
        statistics.max_abs[row] = prepared.max_abs
        options = purpose.options
        if options.quality and options.orthogonality and prepared.n_nonfinite == 0:
            statistics.orthogonality[row] = tiled_orthogonality(weight)
    centers = (
        prepared.centers() if purpose.moments else np.zeros((2, prepared.rows.shape[1]), np.float32)
    )
    return LayerKernels(first + row, prepared.rows, prepared.scale, centers)


def _results(
    segments: list[Segments], purpose: Pass
) -> tuple[SegmentSums | None, SegmentCounts | None]:
    sums = _sums(segments, purpose) if purpose.moments else None
    return sums, _counts(segments, purpose.options, purpose.bins) if purpose.bins else None


def _sums(segments: list[Segments], purpose: Pass) -> SegmentSums:
    return run(
        moments_pass,
        [stack.split(MOMENTS_ROWS) for stack in segments],
        on_cpu=ANY_ORDER,
        options=purpose.options.of_passes,
        with_normalized=purpose.with_normalized,
        platform=platform(),
    )


def _counts(segments: list[Segments], options: Options, bins: Bins) -> SegmentCounts:
    replicated = bins.on_device
    return run(
        histogram_pass,
        segments,
        *replicated,
        on_cpu=WIDE_VECTORS,
        options=options.of_passes,
        platform=platform(),
    )
